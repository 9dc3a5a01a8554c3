"""The guard of an evaluator's child: its parent, who does nothing but see to it that nothing of it is left.

Every orphan of the objective is handed to the guard, whatever it did to get away (a group and a session of its own, a
cleared environment), and nothing else ever is. When the child has ended, or the worker is gone or wants the end, all
that is below the guard is killed; then the guard ends as the child has ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
from typing import TYPE_CHECKING, Final, NoReturn

from orchestrator.process.orphans import adopts_orphans, become_subreaper
from tuning_worker.processes import MARKER, kill_below, kill_group, kill_marked, reaping

if TYPE_CHECKING:
    from collections.abc import Sequence

_PR_SET_PDEATHSIG: Final = 1


def leave_a_guard(requests: int, unused: Sequence[int]) -> None:
    """Go on as the child of this process, which becomes the guard.

    Args:
        requests: a pipe that the worker closes when it wants the end, or dies.
        unused: file descriptors that are the child's alone.
    """
    become_subreaper()
    guard = os.getpid()
    child = os.fork()
    if child:  # pragma: no cover - what a process does that ends without a farewell is not measured
        _stand_guard(child, requests, unused)
    # Not in the guard's group, which an objective's `killpg(0)` must not reach; and killed by the kernel where it dies.
    os.setpgid(0, 0)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != guard:  # it died before that was asked for
        os._exit(1)


def _stand_guard(child: int, requests: int, unused: Sequence[int]) -> NoReturn:  # pragma: no cover - as above
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2, *unused):  # nobody may wait for the guard to close these
        os.dup2(null, fd, inheritable=False)
    poll = select.poll()
    poll.register(os.pidfd_open(child), select.POLLIN)
    poll.register(requests, 0)  # no event but the hang-up that is always reported
    with reaping({child}):
        poll.poll()
    kill_group(child)  # it has not been reaped: the number is its own
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)  # it may have gone to another group
    _, status = os.waitpid(child, 0)
    kill_below()
    if not adopts_orphans():  # a kernel, or a sandbox, that does not know it
        kill_marked(os.environ[MARKER])
    _end_as(os.waitstatus_to_exitcode(status))


def _end_as(returncode: int) -> NoReturn:  # pragma: no cover - as above
    if returncode < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -returncode not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-returncode, signal.SIG_DFL)
        os.kill(os.getpid(), -returncode)
    os._exit(returncode)
