"""The worker's CSV: one row an iteration, each on the disk before the iteration is committed.

A row is one line, so a torn write can only be a last line without its end: opening the file cuts that off. A metric
that no earlier row had becomes a new column: the file is then written anew beside itself and renamed.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from orchestrator.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

FIXED: Final = ("session_id", "worker_id", "iteration", "status", "timestamp", "value")
"""The first columns; `params_NAME` each and `metrics_NAME` each follow."""

Row = Mapping[str, str]


class IterationCsv:
    """The CSV of one worker in one session.

    Args:
        path: of the file; its folder is made where it is missing.
        session_id: whose rows it holds.
        worker_id: whose rows it holds.
        params: the names of the parameters, in the order of their columns.

    Raises:
        StateError: the file belongs to something else, or it cannot be read or written.
    """

    def __init__(self, path: Path, session_id: str, worker_id: str, params: Sequence[str]) -> None:
        self.path = path
        self._identity = {"session_id": session_id, "worker_id": worker_id}
        self._params = tuple(f"params_{name}" for name in params)
        self._columns: tuple[str, ...] = (*FIXED, *self._params)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.rows = self._read()
        except OSError as error:
            raise StateError(f"{path}: {error.strerror or error}: choose another base_output_csv") from error

    def write(self, rows: Iterable[Row]) -> None:
        """Make the file hold exactly these rows, in one step that a crash cannot halve."""
        self.rows = {int(row["iteration"]): dict(row) for row in rows}
        metrics = sorted({name for row in self.rows.values() for name in row if name.startswith("metrics_")})
        self._columns = (*FIXED, *self._params, *metrics)
        beside = self.path.with_name(f".{self.path.name}.new")
        lines = self._line(dict(zip(self._columns, self._columns, strict=True))) + "".join(
            self._line(row) for _, row in sorted(self.rows.items())
        )
        try:
            _write_synced(beside, lines.encode(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            beside.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise self._failed(error) from error

    def append(self, row: Row) -> None:
        """Add a row; it is on the disk when this returns.

        Raises:
            StateError: it could not be written; the file is as it was before.
        """
        if not self.path.exists() or not set(row) <= set(self._columns):
            self.write([*self.rows.values(), row])
            return
        size = self.path.stat().st_size
        try:
            _write_synced(self.path, self._line(row).encode(), os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            os.truncate(self.path, size)
            raise self._failed(error) from error
        self.rows[int(row["iteration"])] = dict(row)

    def _read(self) -> dict[int, Row]:
        lines = self._read_lines()
        if not lines:
            return {}
        self._columns = tuple(lines[0])
        if tuple(column for column in self._columns if not column.startswith("metrics_")) != (*FIXED, *self._params):
            raise self._foreign("it has other columns")
        return {int(row["iteration"]): row for row in map(self._checked, lines[1:])}

    def _read_lines(self) -> list[list[str]]:
        """Return the whole lines; one that a crash left unfinished is cut off the file."""
        if not self.path.exists():
            return []
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            os.truncate(self.path, len(whole))
        try:
            return list(csv.reader(io.StringIO(whole.decode()), strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise self._foreign(f"it is not a CSV that a worker wrote ({error})") from error

    def _checked(self, line: list[str]) -> Row:
        if len(line) != len(self._columns):
            raise self._foreign(f"a row of it is damaged: {','.join(line)}")
        row = dict(zip(self._columns, line, strict=True))
        if not row["iteration"].isdecimal() or row["status"] not in ("SUCCESS", "FAILED"):
            raise self._foreign(f"a row of it is damaged: {','.join(line)}")
        if any(row[name] != value for name, value in self._identity.items()):
            raise self._foreign(f"it belongs to {row['worker_id']} of session {row['session_id']}")
        return row

    def _line(self, row: Row) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(row.get(column, "") for column in self._columns)
        return text.getvalue()

    def _foreign(self, why: str) -> StateError:
        return StateError(f"{self.path} is there already and {why}: move it away, or choose another base_output_csv")

    def _failed(self, error: OSError) -> StateError:
        return StateError(f"{self.path} cannot be written: {error.strerror or error}")


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
