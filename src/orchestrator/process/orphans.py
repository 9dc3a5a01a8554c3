"""Whose child a process becomes when its parent has ended: init's, unless one above it asks for it."""

from __future__ import annotations

import ctypes
import functools
import os

_PR_SET_CHILD_SUBREAPER = 36  # include/uapi/linux/prctl.h
_PR_GET_CHILD_SUBREAPER = 37


def become_subreaper(*, wanted: bool = True) -> None:
    """Have every orphan below this process handed to it instead of to init. Without effect where it is not allowed.

    Args:
        wanted: False leaves them to who is above again.
    """
    _libc().prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)


def adopts_orphans() -> bool:
    """Tell whether orphans below this process become its children."""
    flag = ctypes.c_int(0)
    _libc().prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(flag), 0, 0, 0)
    return bool(flag.value) or os.getpid() == 1


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
