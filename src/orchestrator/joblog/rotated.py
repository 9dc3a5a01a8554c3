"""An append-only file that is rotated by size, and counts what rotation drops."""

from __future__ import annotations

import glob
import os
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class RotatedFile:
    """`job.jsonl`, and before it `job.jsonl.1` to `job.jsonl.N`, the oldest. Opened when first written to.

    Attributes:
        dropped_lines: how many lines rotation has thrown away.
        dropped_bytes: and how many bytes they were.
    """

    def __init__(self, path: Path, *, max_bytes: int, backups: int) -> None:
        self.dropped_lines = 0
        self.dropped_bytes = 0
        self._max_bytes = max_bytes
        self._names = [path, *(_backup(path, age) for age in range(1, backups + 1))]
        self._lines: list[int | None] = [None] * len(self._names)  # None: written before us, so not counted
        self._fd: int | None = None
        self._size = 0

    def append(self, block: bytes, lines: int) -> None:
        """Write whole lines at the end, all of them or none. Only a single block makes a file exceed `max_bytes`.

        Args:
            block: the lines.
            lines: how many of them count, should they be dropped one day.

        Raises:
            OSError: they could not be written.
        """
        if not block:
            return
        fd = self._open()
        if self._size and self._size + len(block) > self._max_bytes:
            self._rotate()
            fd = self._open()
        try:
            _write(fd, block)
        except OSError:
            with suppress(OSError):
                os.ftruncate(fd, self._size)
            self.close()  # opening it again mends what truncating could not
            raise
        self._size += len(block)
        if self._lines[0] is not None:
            self._lines[0] += lines

    def close(self) -> None:
        """Close the file; a later `append` opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        if self._fd is not None:
            return self._fd
        _make_private(self._names[0].parent)
        fd = os.open(self._names[0], os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._size = os.fstat(fd).st_size
            if not self._size:
                self._lines[0] = 0
            elif os.pread(fd, 1, self._size - 1) != b"\n":
                self._size += os.write(fd, b"\n")  # a line that was torn must not spoil the next one
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        return fd

    def _rotate(self) -> None:
        self.close()
        oldest = self._names[-1]
        with suppress(FileNotFoundError):
            size = oldest.stat().st_size
            lines = _count_lines(oldest) if self._lines[-1] is None else self._lines[-1]
            oldest.unlink()
            self.dropped_bytes += size
            self.dropped_lines += lines
        for newer, older in reversed(list(pairwise(self._names))):
            with suppress(FileNotFoundError):
                newer.rename(older)
        self._lines = [0, *self._lines[:-1]]


def read_lines(path: Path) -> Iterator[bytes]:
    """Read a rotated file from its oldest line on."""
    ages = (name.suffix[1:] for name in path.parent.glob(f"{glob.escape(path.name)}.*"))
    oldest_first = sorted((int(age) for age in ages if age.isdecimal()), reverse=True)
    for name in [*(_backup(path, age) for age in oldest_first), path]:
        with suppress(FileNotFoundError), name.open("rb") as file:
            yield from file


def _backup(path: Path, age: int) -> Path:
    return path.with_name(f"{path.name}.{age}")


def _write(fd: int, block: bytes) -> None:
    left = memoryview(block)
    while left:
        left = left[os.write(fd, left) :]


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))


def _make_private(folder: Path) -> None:
    """Create a folder, and those above it that are missing, for our user alone."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
