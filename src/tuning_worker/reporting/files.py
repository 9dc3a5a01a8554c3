"""Files that are there whole or not at all, and that are never written over by mistake."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from orchestrator.errors import StateError, UsageError
from orchestrator.looking import is_folder, is_there

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def new_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Open a file beside `path`, which becomes `path` when all has been written to it.

    Args:
        path: where to.
        force: take the place of a file that is there.

    Raises:
        StateError: there is one, and it is not to be written over.
        UsageError: it cannot be written there.
    """
    _refuse_taken(path, force=force)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
        _refuse_taken(path, force=force)  # it may have come meanwhile
        Path(name).replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        Path(name).unlink(missing_ok=True)


def _refuse_taken(path: Path, *, force: bool) -> None:
    if is_folder(path):
        raise UsageError(f"{path} is a directory: name a file")
    if is_there(path) and not force:
        raise StateError(f"{path} is there already: name another file, or write over it with --force")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
