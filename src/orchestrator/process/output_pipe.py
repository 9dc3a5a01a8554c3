"""Reads one output stream of a child process through a pipe of our own.

`asyncio`'s own pipes tie the end of a process to the end of its output, which a grandchild can hold for ever
(cpython gh-119710). With a pipe that asyncio knows nothing of, the two end apart.
"""

from __future__ import annotations

import asyncio
import os
from typing import Literal, Protocol

Stream = Literal["stdout", "stderr"]

CHUNK_BYTES = 32 * 1024
"""One read. Buffers over 128 KiB are mapped and faulted in each time, which halves the throughput."""

_READS_PER_TURN = 4  # then the loop's other readers have their turn
_READS_AT_THE_END = 64  # twice what the largest pipe holds


class OutputSink(Protocol):
    """Takes what a process writes. Called in the loop's thread; must neither block nor raise."""

    def feed(self, stream: Stream, chunk: bytes) -> None:
        """Take the next bytes of a stream, in order, cut anywhere."""

    def end(self, stream: Stream, complete: bool) -> None:  # noqa: FBT001 - the protocol's two callers name it
        """Take note that a stream ended, once; `complete` is False where it was cut off."""


class OutputPipe:
    """A pipe whose far end is a child's stdout or stderr.

    Attributes:
        write_fd: the child's end, until `start` or `abandon`.
        complete: None while it is open, then what the sink was told.
    """

    def __init__(self, stream: Stream, sink: OutputSink) -> None:
        self.complete: bool | None = None
        self._cut_off = False
        self._stream = stream
        self._sink: OutputSink | None = sink
        self._loop = asyncio.get_running_loop()
        self._read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_fd, False)  # ours alone: the child expects a pipe that waits

    def start(self) -> None:
        """Leave the far end to the child and pass on what comes."""
        os.close(self.write_fd)
        self._loop.add_reader(self._read_fd, self._read, _READS_PER_TURN)

    def abandon(self) -> None:
        """Close a pipe that was never started."""
        os.close(self.write_fd)
        os.close(self._read_fd)

    def cut_off(self) -> None:
        """Take note that who holds the pipe is about to be killed: if it ends now, it is not complete."""
        self._cut_off = True

    def finish(self) -> bool:
        """Pass on what the pipe still holds and close it.

        Returns:
            Whether the stream is complete.
        """
        if self.complete is None:
            self._read(_READS_AT_THE_END)
        if self.complete is None:
            self._cut_off = True
            self._end()
        return self.complete is True

    def _read(self, reads: int) -> None:
        for _ in range(reads):
            try:
                chunk = os.read(self._read_fd, CHUNK_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                self._end()
                return
            self._feed(chunk)

    def _feed(self, chunk: bytes) -> None:
        if self._sink is None:
            return
        try:
            self._sink.feed(self._stream, chunk)
        except Exception as error:  # noqa: BLE001 - a broken sink must cost no job: report it, and read on into nothing
            self._give_up_on_sink(error)

    def _end(self) -> None:
        self._loop.remove_reader(self._read_fd)
        os.close(self._read_fd)
        self.complete = not self._cut_off and self._sink is not None
        if self._sink is None:
            return
        try:
            self._sink.end(self._stream, self.complete)
        except Exception as error:  # noqa: BLE001 - as above
            self._give_up_on_sink(error)
            self.complete = False

    def _give_up_on_sink(self, error: Exception) -> None:
        self._sink = None
        self._loop.call_exception_handler({"message": f"the sink of {self._stream} failed", "exception": error})
