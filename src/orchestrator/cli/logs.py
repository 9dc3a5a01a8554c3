"""`orch logs`: what the workers of a session wrote, and what they write as it comes."""

from __future__ import annotations

import base64
import json
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.following import stay
from orchestrator.cli.options import Env, Output, Session, Worker  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, one_line, put, write
from orchestrator.cli.places import log_folder
from orchestrator.cli.progress import say
from orchestrator.cli.reading import settings_here
from orchestrator.errors import UsageError
from orchestrator.follow import LogReader, jobs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orchestrator.follow import LogRecord
    from orchestrator.settings import Settings

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until the session has ended.")]
Tail = Annotated[int | None, typer.Option("--tail", "-n", metavar="N", min=0, help="Begin with the last N lines.")]
Attempt = Annotated[int | None, typer.Option(metavar="N", min=1, help="Only this attempt of each job.")]

_COLOURS = (36, 33, 32, 35, 34, 31)
_HEAD = ("event", "time")
_MARKS = {
    "output_incomplete": "the output was cut off here",
    "lost": "{lines} lines could not be written to the log here",
    "dropped": "{lines} lines have left the log by rotation",
    "skipped": "{lines} lines came too fast to be carried here; the log file has them",
}


def logs(
    session: Session,
    follow: Follow = False,  # noqa: FBT002 - a flag is a parameter
    worker: Worker = None,
    tail: Tail = None,
    attempt: Attempt = None,
    env: Env = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what a session's workers wrote.

    Each line comes after its worker's name. The store keeps the last lines of each job; its log file has them all.
    With -o jsonl each record is shown as it is kept, with its time, attempt and stream.
    """
    if follow and output in (Format.JSON, Format.YAML):
        raise UsageError(f"--follow has no end that -o {output} could wait for: use -o jsonl")
    settings = settings_here(env)
    with stay(settings) as patient:
        snapshot = patient.client.get_session(session)
        jobs = jobs_of(snapshot, worker)
        reader = LogReader(patient.client, session, jobs, attempt)
        records = reader.backlog(tail)
        if tail is None and len(records) >= settings.tail_lines:
            _say_cut(settings, session)
        if output in (Format.JSON, Format.YAML):
            write(_document(records, session, settings), output)
            return
        show = _shower(output, [job.worker_id for job in jobs])
        _print(records, show)
        if follow:
            for record in reader.follow():
                _print([record], show)
            say(f"session {session} has ended: {patient.client.get_status(session)}")


def _say_cut(settings: Settings, session: str) -> None:
    say(
        f"the store keeps the last {settings.tail_lines:,} lines of each job; all of them are in "
        f"{log_folder(settings, session)} on the machine that ran it"
    )


def _document(records: Sequence[LogRecord], session: str, settings: Settings) -> Shown:
    document: dict[str, Any] = {
        "schema": 1,
        "session_id": session,
        "env": settings.env,
        "records": [record.data for record in records],
    }
    return Shown(document=lambda: document, table=str, quiet=str)


def _print(records: Iterable[LogRecord], show: Callable[[LogRecord], str]) -> None:
    put("".join(f"{show(record)}\n" for record in records))


def _shower(output: Format, workers: Sequence[str]) -> Callable[[LogRecord], str]:
    match output:
        case Format.JSONL:
            return _as_json
        case Format.QUIET:
            return lambda record: one_line(line_of(record.data))
        case _:
            coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
            return _Lines(max(map(len, workers)), coloured=coloured).show


def _as_json(record: LogRecord) -> str:
    # ASCII where it need be: what a job wrote may hold what a terminal would obey.
    return record.text if record.text.isprintable() else json.dumps(record.data)


def line_of(data: Mapping[str, Any]) -> str:
    """Return what one record shows for people."""
    if "mark" in data:
        return f"[{_MARKS.get(data['mark'], data['mark']).format(lines=data.get('lines', '?'))}]"
    if "fields" in data:
        return _event(data["fields"])
    if "bytes" in data:
        return base64.b64decode(data["bytes"]).decode(errors="backslashreplace")
    return str(data.get("line", ""))


def _event(fields: Mapping[str, Any]) -> str:
    """Write what a program wrote as JSON; an event, as our own worker writes them, by its name first."""
    if not isinstance(fields.get("event"), str):
        return json.dumps(fields, ensure_ascii=False)
    values = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in fields.items() if name not in _HEAD)
    return " ".join([fields["event"], *values])


@dataclass(slots=True)
class _Lines:
    """Lines for people: the worker's name, then what it wrote; a further attempt is announced."""

    wide: int
    coloured: bool
    _attempts: dict[str, int] = field(default_factory=dict)

    def show(self, record: LogRecord) -> str:
        data = record.data
        worker, attempt = str(data["worker_id"]), int(data["attempt"])
        if attempt != self._attempts.setdefault(worker, attempt):
            self._attempts[worker] = attempt
            say(f"{worker}: attempt {attempt}")
        prefix = f"{worker:{self.wide}} |"
        if self.coloured:
            colour = _COLOURS[int(worker.rpartition("-")[2]) % len(_COLOURS)]
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        return f"{prefix} {one_line(line_of(data))}"
