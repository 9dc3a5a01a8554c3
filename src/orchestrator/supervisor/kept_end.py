"""How an attempt ended, kept in a file beside the job's log while the store has not heard of it.

So an end survives this process too, when both are away. The attempt's fencing token is in the file: whoever finds the
job still RUNNING under it writes what follows; under any other, the file says nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from orchestrator.domain.outcome import Ended
from orchestrator.errors import StoreUnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = structlog.get_logger()

_SOON = timedelta(milliseconds=200)
"""A store that is there has heard of it by then: no attempt costs a file in good times."""


@dataclass(frozen=True, slots=True)
class KeptEnd:
    """The file of one attempt.

    Attributes:
        path: where it is; the job's next attempt uses the same.
        token: of the attempt.
    """

    path: Path
    token: int

    @contextmanager
    def until_heard(self, ended: Ended, ran: float) -> Iterator[None]:
        """Keep the end unless the block, in which the store is told, is over soon; the file goes when it has heard.

        Args:
            ended: how the attempt ended.
            ran: how long it took, seconds.
        """
        timer = asyncio.get_running_loop().call_later(_SOON.total_seconds(), self._write, ended, ran)
        try:
            yield
        except (StoreUnreachableError, asyncio.CancelledError):
            self._write(ended, ran)
            raise
        except BaseException:
            self.remove()
            raise
        else:
            self.remove()
        finally:
            timer.cancel()

    def find(self) -> tuple[Ended, float] | None:
        """Return how the attempt ended and how long it took, seconds; None where that was not kept."""
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return (Ended(**kept["ended"]), kept["ran"]) if kept["token"] == self.token else None

    def remove(self) -> None:
        """Take the file away: the store has heard of it."""
        with suppress(OSError):  # gone, or left: under any later token it says nothing
            self.path.unlink()

    def _write(self, ended: Ended, ran: float) -> None:
        """Write the file in one step, and have it on the disk."""
        beside = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with beside.open("w", encoding="utf-8") as file:
                json.dump({"token": self.token, "ended": asdict(ended), "ran": ran}, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            log.warning("job.end_not_kept", path=str(self.path), why=str(error))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
