"""The note beside a worker's CSV: the whole record of its newest row, for what a row has no column for.

A traceback, or the profit of each day, would be lost with a worker that dies between a row and its commit. The file
is locked for as long as the worker lives, so that two of them (two sessions with one `base_output_csv`) never write
one CSV.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class RowNote:
    """The note of one CSV, held until `close` or the end of the process.

    Attributes:
        owner: whose rows the CSV holds, as `begin` was told; empty where nobody was.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be opened.
    """

    def __init__(self, csv: Path) -> None:
        self._path = csv.with_name(f".{csv.name}.last")
        self._descriptor = self._locked()
        self.owner = self._read()[0].decode(errors="replace")

    def begin(self, owner: str) -> None:
        """Keep whose rows the CSV holds, across a loss of power too: one line of text."""
        self.owner = owner
        with suppress(OSError):  # a full disk: it is missed only when the power fails as well
            self._put(b"")
            os.fsync(self._descriptor)

    def write(self, row: Mapping[str, str], note: Mapping[str, Any]) -> None:
        """Keep a note with a row, in place of the last one.

        Raises:
            OSError: it cannot be written; there is none then.
        """
        # Not synced: a note is for a worker that dies alone; without one the row tells what it can.
        self._put(json.dumps({"row": dict(row), "note": note}).encode())

    def find(self, row: Mapping[str, str]) -> Any:
        """Return the note that was written with a row, None where there is none."""
        try:
            kept = json.loads(self._read()[1])
        except ValueError:
            return None
        return kept["note"] if filled(kept["row"]) == filled(row) else None

    def remove(self) -> None:
        """Nothing is left to be committed."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let others write the CSV."""
        os.close(self._descriptor)

    def _read(self) -> tuple[bytes, bytes]:
        owner, _, rest = self._path.read_bytes().partition(b"\n")
        return owner, rest

    def _put(self, rest: bytes) -> None:
        line = f"{self.owner}\n".encode()
        os.ftruncate(self._descriptor, len(line))  # what it holds stays: the owner is never away
        data, at = line + rest, 0
        while at < len(data):
            at += os.pwrite(self._descriptor, data[at:], at)

    def _locked(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                    return descriptor
            except FileNotFoundError:  # whoever held it has removed it: a lock on it keeps nobody out
                pass
            except OSError:
                os.close(descriptor)
                raise
            os.close(descriptor)


def filled(row: Mapping[str, str]) -> Mapping[str, str]:
    """Return a row without its empty cells: whether a file has a column for them depends on its other rows."""
    return {column: cell for column, cell in row.items() if cell}
