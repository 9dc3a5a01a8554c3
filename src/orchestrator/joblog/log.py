"""The log of one job: each line that it writes becomes a JSON record (see `jobrecords`) in its own rotated file.

The bytes that a job wrote can be put together again from its records, but for what a mark among them declares:

- `"lost"`: `lines` of `size` bytes could not be written where the mark stands (a full disk, say);
- `"dropped"`: `lines`, in files of `size` bytes, have left the far end by rotation since the attempt began;
- `"output_incomplete"`: the stream was cut off here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.clock import Clock, iso, utc_now
from orchestrator.joblog.records import Record, RecordEncoder, decode
from orchestrator.joblog.rotated import RotatedFile, read_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.process.output_pipe import Stream

LONGEST_LINE = 1 << 20
"""Bytes; what is longer is cut into records marked partial."""

_LATER_BYTES = range(0x80, 0xC0)
"""What a UTF-8 character may have after its first byte, three times at most."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How much of a job's output is kept.

    Attributes:
        max_bytes: of one file.
        backups: how many older files are kept beside it.
        tail_records: how many of the newest records a tail holds.
        tail_bytes: and how many bytes at most.
        longest_line: bytes of a line in one record, at least 4 (a character).
    """

    max_bytes: int = 16 << 20
    backups: int = 4
    tail_records: int = 200
    tail_bytes: int = 256 << 10
    longest_line: int = LONGEST_LINE


@dataclass(slots=True)
class LogCounts:
    """What has passed through a job's log.

    Attributes:
        bytes_in: bytes that the job wrote.
        lines: records made of them.
        lost_lines: records that could not be written.
        lost_bytes: and the bytes of output in them.
    """

    bytes_in: int = 0
    lines: int = 0
    lost_lines: int = 0
    lost_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Tail:
    """The newest records since the last one was taken.

    Attributes:
        records: JSON, oldest first, without newlines.
        dropped: how many older ones are not among them.
    """

    records: list[bytes]
    dropped: int


class JobLog:
    """Takes the output of one attempt of one job: an `OutputSink`.

    It neither blocks for long nor raises: what the disk refuses is counted, and marked when the disk takes more.

    Args:
        path: the job's log; its folder is created, for our user alone. Attempts after the first append to it.
        encoder: writes the records.
        limits: how much is kept.
        on_tail: called when there are records to `take_tail` after there were none.
        clock: gives each chunk its time.

    Attributes:
        counts: what has passed through.
    """

    def __init__(
        self,
        path: Path,
        encoder: RecordEncoder,
        *,
        limits: LogLimits | None = None,
        on_tail: Callable[[], None] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        limits = limits or LogLimits()
        self.counts = LogCounts()
        self._encoder = encoder
        self._clock = clock
        self._longest_line = limits.longest_line
        self._file = RotatedFile(path, max_bytes=limits.max_bytes, backups=limits.backups)
        self._tail = _TailBuffer(limits, on_tail)
        self._begun: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._lost: dict[Stream, tuple[int, int]] = {}  # lines and bytes that no mark speaks of yet
        self._dropped_marked = 0
        self._open: set[Stream] = {"stdout", "stderr"}

    @property
    def dropped_lines(self) -> int:
        """How many records rotation has thrown away."""
        return self._file.dropped_lines

    def feed(self, stream: Stream, chunk: bytes) -> None:
        """Take the next bytes of a stream, cut anywhere."""
        self.counts.bytes_in += len(chunk)
        time = iso(self._clock())
        begun = self._begun[stream]
        end = chunk.rfind(b"\n") + 1
        if end:
            block = bytes(begun) + chunk[:end]
            begun.clear()
            self._write(stream, time, *self._encode(stream, time, block), len(block))
        begun += memoryview(chunk)[end:]
        if len(begun) > self._longest_line:
            *pieces, rest = _cut(bytes(begun), self._longest_line)
            begun[:] = rest
            records = [self._encoder.encode_partial(time, stream, piece) for piece in pieces]
            self._write(stream, time, b"".join(records), len(records), sum(map(len, pieces)))

    def end(self, stream: Stream, complete: bool) -> None:  # noqa: FBT001 - as the protocol has it
        """Take note that a stream ended; `complete` is False where it was cut off."""
        time = iso(self._clock())
        records = []
        if piece := bytes(self._begun[stream]):
            self._begun[stream].clear()
            records.append(self._encoder.encode_partial(time, stream, piece))
        if not complete:
            records.append(self._encoder.encode_mark(time, stream, "output_incomplete"))
        self._write(stream, time, b"".join(records), len(records), len(piece))
        self._open.discard(stream)
        if not self._open:
            self.close()

    def take_tail(self) -> Tail:
        """Return the newest records since the last call."""
        return self._tail.take()

    def close(self) -> None:
        """Close the file. It is closed by itself when both streams have ended."""
        self._file.close()

    def _encode(self, stream: Stream, time: str, block: bytes) -> tuple[bytes, int]:
        """Encode whole lines; return the records and how many they are."""
        if len(block) <= self._longest_line:
            return self._encoder.encode_lines(time, stream, block), block.count(b"\n")
        records: list[bytes] = []
        for line in block[:-1].split(b"\n"):
            *pieces, rest = _cut(line, self._longest_line)
            records += [self._encoder.encode_partial(time, stream, piece) for piece in pieces]
            records.append(self._encoder.encode_lines(time, stream, rest + b"\n"))
        return b"".join(records), len(records)

    def _write(self, stream: Stream, time: str, block: bytes, lines: int, size: int) -> None:
        """Write records that stand for `size` bytes of output, and before them the marks that are due."""
        self.counts.lines += lines
        self._tail.add(block, lines)
        dropped = self._file.dropped_lines
        marks = self._due_marks(stream, time)
        try:
            self._file.append(b"".join([*marks, block]), lines)
        except OSError:
            self.counts.lost_lines += lines
            self.counts.lost_bytes += size
            lost_lines, lost_bytes = self._lost.get(stream, (0, 0))
            self._lost[stream] = (lost_lines + lines, lost_bytes + size)
        else:
            self._lost.clear()
            self._dropped_marked = dropped

    def _due_marks(self, stream: Stream, time: str) -> list[bytes]:
        encode = self._encoder.encode_mark
        marks = [encode(time, of, "lost", lines=lines, size=size) for of, (lines, size) in self._lost.items()]
        if self._file.dropped_lines > self._dropped_marked:
            amounts = {"lines": self._file.dropped_lines, "size": self._file.dropped_bytes}
            marks.append(encode(time, stream, "dropped", **amounts))
        return marks


class _TailBuffer:
    """Keeps the newest records without looking into them until they are asked for."""

    def __init__(self, limits: LogLimits, on_first: Callable[[], None] | None) -> None:
        self._most_records = limits.tail_records
        self._most_bytes = limits.tail_bytes
        self._on_first = on_first
        self._blocks: deque[tuple[bytes, int]] = deque()
        self._records = 0
        self._bytes = 0
        self._dropped = 0

    def add(self, block: bytes, records: int) -> None:
        if not records:
            return
        first = not self._blocks
        self._blocks.append((block, records))
        self._records += records
        self._bytes += len(block)
        while self._first_is_surplus():
            surplus, count = self._blocks.popleft()
            self._records -= count
            self._bytes -= len(surplus)
            self._dropped += count
        if first and self._on_first:
            self._on_first()

    def take(self) -> Tail:
        records = b"".join(block for block, _ in self._blocks).split(b"\n")[:-1]
        newest: deque[bytes] = deque()
        room = self._most_bytes
        for record in reversed(records[-self._most_records :]):
            room -= len(record)
            if room < 0:
                break
            newest.appendleft(record)
        tail = Tail([*newest], self._dropped + len(records) - len(newest))
        self._blocks.clear()
        self._records = self._bytes = self._dropped = 0
        return tail

    def _first_is_surplus(self) -> bool:
        block, count = self._blocks[0]
        enough = self._records - count >= self._most_records or self._bytes - len(block) >= self._most_bytes
        return len(self._blocks) > 1 and enough


def read_records(path: Path) -> Iterator[Record]:
    """Read a job's log, its rotated files first, oldest record first. Torn lines are passed over."""
    for line in read_lines(path):
        if record := decode(line):
            yield record


def _cut(line: bytes, longest: int) -> list[bytes]:
    """Cut a line into pieces of at most `longest` bytes, between characters where it is UTF-8."""
    pieces = []
    start = 0
    while len(line) - start > longest:
        end = start + longest
        end -= next((back for back in range(4) if line[end - back] not in _LATER_BYTES), 0)
        pieces.append(line[start:end])
        start = end
    return [*pieces, line[start:]]
