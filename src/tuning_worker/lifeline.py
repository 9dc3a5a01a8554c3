"""How a worker's end comes from outside: its parent dies, or it is told to stop."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_PR_SET_PDEATHSIG = 1


def die_with_parent(expected: int) -> None:
    """Have the kernel kill this process when its parent ends; end at once where `expected` is not its parent any more.

    Without it, a worker whose supervisor was killed would go on, see broken pipes, and record failures that are none.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != expected:  # it died before the line above
        sys.exit(f"tuning-worker: the supervisor (pid {expected}) is gone")


class StopFlag:
    """Set by TERM and INT: begin nothing new. Called, it says whether it is set.

    It interrupts nothing: the iteration that runs may end, and whoever sent the signal decides how long that may take.
    """

    def __init__(self) -> None:
        self._set = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self._set

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._set = True
