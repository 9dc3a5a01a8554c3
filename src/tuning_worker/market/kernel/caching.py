"""Compiling, and keeping the machine code on disk, so that a machine compiles a version of the engine once.

numba's own cache notices no change of a function that is called from another file, so the folder is named after all
that the code depends on: the source of this package and of what it imports numbers from, Python and numba. Several
processes may use it at once: numba replaces files whole, and `one_at_a_time` keeps workers that start together from
compiling the same thing side by side. That saves work and is needed for nothing else, so nobody waits for ever for one
that was stopped, or starves, in the middle of it.

Where the folder cannot be used, or not written to any more, each process compiles for itself, and says so.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
PATIENCE = timedelta(minutes=1)
"""For another process that compiles; it takes a quarter of that on a slow core."""
_LOOK_S = 0.02
F = TypeVar("F", bound="Callable[..., Any]")


def cache_folder() -> Path:
    """Return where the machine code is kept: in NUMBA_CACHE_DIR if set, else in the user's cache."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - it may find no home
    return (Path(given) if given else Path(user, "orch", "numba")) / f"engine-{version_of(HERE)}"


def version_of(package: Path) -> str:
    """Return a digest of all that the machine code follows from, but for the processor, which numba minds itself."""
    digest = hashlib.sha256(f"{sys.version} {numba.__version__}".encode())
    for file in sorted([*package.glob("*.py"), package.parent / "data.py", package.parent / "run.py"]):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def usable(folder: Path) -> str | None:
    """Return the folder, made if need be; None where it cannot be written to."""
    if str(folder).startswith("~"):  # of a user without a home
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return None
    return str(folder)


FOLDER = usable(cache_folder())


def compiled(function: F) -> F:
    """Compile a function when it is first called, and keep the machine code. Only compiled code may call it."""
    return _compiled(function, no_cpython_wrapper=True)


def entrance(function: F) -> F:
    """Do the same with a function that Python calls."""
    return _compiled(function, no_cpython_wrapper=False)


def _compiled(function: F, **options: Any) -> F:
    njit: Any = numba.njit
    # What is compiled here makes no arrays, so nothing need count who refers to one, which "nrt" does at every call.
    made = njit(nogil=True, error_model="numpy", _nrt=False, **options)(function)
    if FOLDER is not None and made is not function:  # which it is where compiling is turned off
        _keep(made, FOLDER)
    return cast("F", made)


def _keep(made: Any, folder: str) -> None:
    """Have a function's machine code kept in a folder."""
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = folder  # read where a function's cache is made; the user's own are not ours to move
    try:
        made.enable_caching()
    except RuntimeError as error:  # the folder is ours, but what numba wants to make in it is not
        say(str(error))
        return
    finally:
        config.CACHE_DIR = before
    kept = made._cache  # noqa: SLF001 - numba has no say in what becomes of a call whose code cannot be saved
    kept.load_overload, kept.save_overload = _if_it_can(kept.load_overload), _if_it_can(kept.save_overload)


def _if_it_can(read_or_write: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap what numba does with its files, so that one that cannot be read or written is as good as none."""

    def tried(*given: Any) -> Any:
        try:
            return read_or_write(*given)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            say(error.strerror if isinstance(error, OSError) and error.strerror else repr(error))

    return tried


@cache
def say(reason: str) -> None:
    """Tell that machine code is not kept, once for each reason."""
    where = FOLDER or cache_folder()
    print(  # noqa: T201 - the job's log
        f"warning: {where}: the engine's machine code is not kept there ({reason}): each process compiles for itself",
        file=sys.stderr,
    )


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the folder's lock, so that of several processes one compiles and the others find it done.

    Who has waited for `PATIENCE` goes ahead without it.
    """
    if FOLDER is None:
        say("it cannot be written to")
        yield
        return
    try:
        lock = (Path(FOLDER) / "lock").open("ab")
    except OSError:  # a full disk: what is there can be read all the same
        yield
        return
    with lock:
        until = time.monotonic() + PATIENCE.total_seconds()
        while not _lock(lock.fileno()) and time.monotonic() < until:
            time.sleep(_LOOK_S)
        yield


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
