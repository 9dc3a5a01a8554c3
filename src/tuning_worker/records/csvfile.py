"""The worker's CSV: one row an iteration, each on the disk before the iteration is committed.

A row is one line, so a torn write can only be a last line without its end: opening the file cuts that off. A metric
that no earlier row had becomes a new column: the file is then written anew beside itself and renamed.
What a row has no column for is kept beside the file, in a note.
"""

from __future__ import annotations

import csv
import errno
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from orchestrator.domain.iteration import IterationStatus
from orchestrator.errors import StateError
from tuning_worker.records.rownote import RowNote

if TYPE_CHECKING:
    from pathlib import Path

FIXED: Final = ("session_id", "worker_id", "iteration", "status", "timestamp", "value")
"""The first columns; `params_NAME` each and `metrics_NAME` each follow."""

Row = Mapping[str, str]

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class DiskFullError(StateError):
    """There is no room for a row. The file is as it was before; when there is room again, it can go on."""


class IterationCsv:
    """The CSV of one worker in one session. What anybody else does to it while it is open is undone at the next row.

    Args:
        path: of the file; its folder is made where it is missing.
        session_id: whose rows it holds.
        worker_id: whose rows it holds.
        params: the names of the parameters, in the order of their columns.

    Attributes:
        rows: what the file holds, by iteration, and what it still owes.
        repeats: whether it held more than one row of an iteration when it was read, of which the last counts.
        note: what the newest row has no column for.

    Raises:
        StateError: the file belongs to something else, or it cannot be read or written.
    """

    def __init__(self, path: Path, session_id: str, worker_id: str, params: Sequence[str]) -> None:
        self.path = path
        self._identity = {"session_id": session_id, "worker_id": worker_id}
        self._params = tuple(f"params_{name}" for name in params)
        self._columns: tuple[str, ...] = (*FIXED, *self._params)
        self._behind = False
        self.repeats = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.note = RowNote(path)
        except BlockingIOError as error:
            why = "is being written by another worker: wait for its session, or choose another base_output_csv"
            raise StateError(f"{path} {why}") from error
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self.rows = self._read()
        except OSError as error:
            self.note.close()
            raise self._unusable(error) from error
        except StateError:
            self.note.close()
            raise
        self._left = self._found()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.note.close()

    @property
    def metrics(self) -> set[str]:
        """The metrics that have a column."""
        return {column.removeprefix("metrics_") for column in self._columns if column.startswith("metrics_")}

    def write(self, rows: Iterable[Row]) -> None:
        """Make the file hold exactly these rows, in one step that a crash cannot halve.

        Raises:
            DiskFullError: there is no room; the rows are owed.
            StateError: it cannot be written.
        """
        self.rows = {int(row["iteration"]): dict(row) for row in rows}
        self._behind = True
        self._rewrite(self.rows)
        self._behind = False

    def append(self, row: Row, note: Mapping[str, Any]) -> None:
        """Add a row; it is on the disk when this returns.

        Args:
            row: by column.
            note: JSON that is kept with it until the next row.

        Raises:
            DiskFullError: there is no room, or was none for an earlier row; the file is as it was before.
            StateError: it cannot be written; the file is as it was before.
        """
        self.settle()
        try:
            self.note.write(row, note)
        except OSError as error:
            raise self._failed(error) from error
        number = int(row["iteration"])
        if not self._left or not set(row) <= set(self._columns):
            self._rewrite({**self.rows, number: row})
        else:
            self._append(row)
        self.rows[number] = dict(row)

    def owe(self, row: Row) -> None:
        """Take in a row for which there is no room now: `settle` writes it."""
        self.rows[int(row["iteration"])] = dict(row)
        self._behind = True

    def settle(self) -> None:
        """Write what is owed, and all of it again where somebody else has changed, truncated or removed the file.

        Raises:
            DiskFullError: there still is no room.
            StateError: it cannot be written, or somebody else has put it there.
        """
        found = self._found()
        if found and not self._left:
            raise self._foreign("was not when this worker began")
        if self._behind or found != self._left:
            self.write(self.rows.values())

    def _found(self) -> tuple[int, ...]:
        """Return by what it is known that the file is as it was left; nothing where there is no file."""
        try:
            stat = self.path.stat()
        except OSError:
            return ()
        return stat.st_ino, stat.st_size

    def _append(self, row: Row) -> None:
        size = self.path.stat().st_size
        try:
            _write_synced(self.path, _cells(row, self._columns).encode(), os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.path, size)
            raise self._failed(error) from error
        finally:
            self._left = self._found()

    def _rewrite(self, rows: Mapping[int, Row]) -> None:
        metrics = sorted({name for row in rows.values() for name in row if name.startswith("metrics_")})
        columns = (*FIXED, *self._params, *metrics)
        beside = self.path.with_name(f".{self.path.name}.new")
        lines = [_line(columns), *(_cells(row, columns) for _, row in sorted(rows.items()))]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _write_synced(beside, "".join(lines).encode(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            beside.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise self._failed(error) from error
        self._columns, self._left = columns, self._found()

    def _read(self) -> dict[int, Row]:
        """Read the rows; one that a crash left unfinished is cut off, once the file is known to be this worker's."""
        raw = self.path.read_bytes() if self.path.exists() else b""
        whole = raw[: raw.rfind(b"\n") + 1]
        header = _line(self._columns).encode()[:-1]
        if not whole and not (header.startswith(raw) or raw.startswith(header)):
            raise self._foreign("it is not a CSV that a worker wrote")
        rows = self._rows(whole)
        if len(whole) < len(raw):
            os.truncate(self.path, len(whole))
        return rows

    def _rows(self, whole: bytes) -> dict[int, Row]:
        # A choice may be a longer text than the 128 KiB that are usual; the limit is of the whole process.
        csv.field_size_limit(max(csv.field_size_limit(), len(whole)))
        try:
            lines = list(csv.reader(io.StringIO(whole.decode()), strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise self._foreign(f"it is not a CSV that a worker wrote ({error})") from error
        if not lines:
            return {}
        self._columns = tuple(lines[0])
        if tuple(column for column in self._columns if not column.startswith("metrics_")) != (*FIXED, *self._params):
            raise self._foreign("it has other columns")
        rows = {int(row["iteration"]): row for row in map(self._checked, lines[1:])}
        self.repeats = len(rows) < len(lines) - 1
        return rows

    def _checked(self, line: list[str]) -> Row:
        if len(line) != len(self._columns):
            raise self._foreign(f"a row of it is damaged: {','.join(line)}")
        row = dict(zip(self._columns, line, strict=True))
        if not row["iteration"].isdecimal() or row["status"] not in list(IterationStatus):
            raise self._foreign(f"a row of it is damaged: {','.join(line)}")
        if any(row[name] != value for name, value in self._identity.items()):
            raise self._foreign(f"it belongs to {row['worker_id']} of session {row['session_id']}")
        return row

    def _foreign(self, why: str) -> StateError:
        return StateError(f"{self.path} is there already and {why}: move it away, or choose another base_output_csv")

    def _unusable(self, error: OSError) -> StateError:
        return StateError(f"{self.path}: {error.strerror or error}: choose another base_output_csv")

    def _failed(self, error: OSError) -> StateError:
        kind = DiskFullError if error.errno in _FULL else StateError
        return kind(f"{self.path} cannot be written: {error.strerror or error}")


def _cells(row: Row, columns: Iterable[str]) -> str:
    return _line(row.get(column, "") for column in columns)


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _write_synced(path: Path, data: bytes, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
