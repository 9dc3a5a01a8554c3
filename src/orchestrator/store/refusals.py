"""Which of a server's refusals mean "not now" and not "never": those are waited out like its absence."""

from __future__ import annotations

from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError

_CLASSES = (BusyLoadingError, OutOfMemoryError, ReadOnlyError)
_CODES = (
    "OOM ",
    "MISCONF ",
    "BUSY ",
    "LOADING ",
    "READONLY ",
    "MASTERDOWN ",
    "TRYAGAIN ",
    "NOREPLICAS ",
    "CLUSTERDOWN ",
)


def is_temporary(reply: object) -> bool:
    """Whether the same command may succeed later: the server is loading, full, busy with a script, or no master now."""
    return isinstance(reply, _CLASSES) or (isinstance(reply, Exception) and str(reply).startswith(_CODES))
