"""What `run` shows while it runs on a terminal: one picture, redrawn a few times a second."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.cli.output import escaped, one_line
from orchestrator.cli.progress import stopping_text, waiting_text
from orchestrator.cli.session_view import best_text, iterations_line, pace_line
from orchestrator.domain.job import Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from typing import Self

    from rich.console import RenderableType

    from orchestrator.clock import Clock
    from orchestrator.domain.job import TuningJob
    from orchestrator.domain.snapshot import SessionSnapshot

_STYLES = {
    Status.PENDING: "dim",
    Status.RUNNING: "cyan",
    Status.SUCCESS: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "yellow",
}
_OTHER_LINES = 14
"""What the picture needs beside its jobs, at most; a picture higher than the terminal cannot be redrawn."""


class LiveProgress:
    """A context manager; the picture vanishes when it ends, and the summary takes its place."""

    def __init__(self, grace: timedelta, clock: Clock) -> None:
        self._grace = grace
        self._clock = clock
        # rich looks at NO_COLOR itself.
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stderr=False)
        self._snapshot: SessionSnapshot | None = None
        self._notice = ""
        self._is_away = False

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def show(self, snapshot: SessionSnapshot) -> None:
        """Draw the session as it is."""
        self._snapshot, self._is_away = snapshot, False
        self._draw()

    def away(self) -> None:
        """Draw the last that is known, and say so."""
        self._is_away = True
        self._draw()

    def stopping(self, *, at_once: bool) -> None:
        """Say it below the rest; where the end is near, leave the terminal as it should be left."""
        self._notice = stopping_text(self._grace, at_once=at_once)
        self._draw()
        if at_once:
            self._stop()

    def _draw(self) -> None:
        if not self._live.is_started:
            return
        with suppress(OSError):  # the terminal is gone
            self._live.update(self._picture(), refresh=True)

    def _stop(self) -> None:
        with suppress(OSError):
            self._live.stop()

    def _picture(self) -> RenderableType:
        parts = list(self._session(self._snapshot)) if self._snapshot else []
        if self._is_away:
            parts.append(Text("the store does not answer; the workers wait to record", "yellow"))
        elif self._snapshot and (waits := waiting_text(self._snapshot)):
            parts.append(Text(waits, "yellow"))
        if self._notice:
            parts.append(Text(self._notice, "yellow"))
        return Group(*parts)

    def _session(self, snapshot: SessionSnapshot) -> list[RenderableType]:
        head = Text.assemble(
            (snapshot.session_id, "bold"), "  ", (snapshot.status, _STYLES[snapshot.status]), "  ",
            pace_line(snapshot, self._clock()),
        )  # fmt: skip
        parts: list[RenderableType] = [_line(head), _line(Text(iterations_line(snapshot)))]
        if snapshot.total_iterations:
            parts.append(_grid([[ProgressBar(snapshot.total_iterations, snapshot.completed_iterations or 0)]]))
        parts.append(self._jobs(snapshot))
        if snapshot.best:
            names = " ".join(map(one_line, snapshot.metrics))
            parts.append(_grid([[Text("best"), Text(escaped(best_text(snapshot)))], [Text("metrics"), Text(names)]]))
        return parts

    def _jobs(self, snapshot: SessionSnapshot) -> RenderableType:
        room = max(self._console.height - _OTHER_LINES, 1)
        running_first = sorted(snapshot.jobs, key=lambda job: job.status is not Status.RUNNING)
        chosen = snapshot.jobs if snapshot.workers <= room else tuple(running_first[:room])
        table = _grid([_cells(job) for job in chosen])
        left = snapshot.workers - len(chosen)
        return Group(table, Text(f"… {left} more", "dim")) if left else table


def _grid(rows: Sequence[Sequence[RenderableType]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for row in rows:
        table.add_row(*row)
    return table


def _cells(job: TuningJob) -> list[RenderableType]:
    share = "" if job.iterations is None else f"{job.recorded}/{job.iterations}"
    failed = f"{job.failed} failed" if job.failed else ""
    attempt = f"attempt {job.attempt}" if job.attempt > 1 else ""
    return [
        Text(job.worker_id),
        Text(job.status, _STYLES[job.status]),
        Text(share),
        Text(failed, "red"),
        Text(attempt, "yellow"),
        _line(Text(one_line(job.reason))),
    ]


def _line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
