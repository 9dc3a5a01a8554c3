"""Why a program could not be started, said so that its user can do something about it."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from orchestrator.errors import OrchError

if TYPE_CHECKING:
    from pathlib import Path

_SHORTAGES = {
    errno.EAGAIN: "no more processes are allowed now (see `ulimit -u` and the cgroup's pids.max)",
    errno.ENOMEM: "there is not enough memory for another process",
    errno.EMFILE: "this process has too many files open (see `ulimit -n`)",
    errno.ENFILE: "this machine has too many files open",
}
_REFUSALS = {
    errno.EACCES: "it is not executable (see `chmod +x`)",
    errno.ENOEXEC: "it is no program; a script needs a first line like `#!/bin/sh`",
    errno.E2BIG: "its arguments and its environment are too long",
}


class LaunchError(OrchError):
    """A program could not be started.

    Attributes:
        program: `argv[0]`.
        reason: what is wrong, and what to do.
        temporary: the machine is short of something, so the same may work later.
    """

    def __init__(self, program: str, reason: str, *, temporary: bool = False) -> None:
        super().__init__(f"cannot start {program!r}: {reason}")
        self.program, self.reason, self.temporary = program, reason, temporary

    @classmethod
    def explaining(cls, error: OSError | ValueError, program: str, cwd: Path, path: str | None) -> LaunchError:
        """Say what `subprocess` meant.

        Args:
            error: what it raised.
            program: `argv[0]`.
            cwd: the directory that the program was to start in.
            path: the `PATH` that the program was looked for on.
        """
        if not isinstance(error, OSError):
            return cls(program, str(error))
        number = error.errno or 0
        if number in _SHORTAGES:
            return cls(program, _SHORTAGES[number], temporary=True)
        if str(error.filename) == str(cwd):
            return cls(program, f"its directory {str(cwd)!r} cannot be entered: {error.strerror}")
        if number == errno.ENOENT:
            return cls(program, _why_not_found(program, cwd, path))
        return cls(program, _REFUSALS.get(number, str(error.strerror)))


def _why_not_found(program: str, cwd: Path, path: str | None) -> str:
    if "/" in program:
        there, place = (cwd / program).exists(), "there"
    else:
        there, place = shutil.which(program, path=path) is not None, "on PATH"
    return "the interpreter that its first line names is not there" if there else f"there is no such program {place}"
