"""What a result follows from besides its parameters: the versions, the host, and hashes of config and data."""

from __future__ import annotations

import hashlib
import platform
import socket
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGES: Final = {
    "orch": "tuning-orchestrator",
    **{name: name for name in ("numba", "numpy", "optuna", "pyarrow")},
}


@cache
def versions() -> Mapping[str, str]:
    """Return the versions of this interpreter and of the packages that a result may depend on."""
    return {"python": platform.python_version(), **{name: _version(each) for name, each in _PACKAGES.items()}}


def facts(tuning: str, objective: Mapping[str, Any]) -> dict[str, Any]:
    """Return what reproduces a session, beside its record: `versions`, `host`, `config_sha256` and hashes of data.

    `config_sha256` is the hash of `tuning` as the session's record keeps it, not of the file: with defaults filled in,
    days split and the data's paths absolute.

    Args:
        tuning: the tuning config as it was checked and resolved.
        objective: its section `objective`, resolved; what it holds as `…_sha256` are the hashes of what it reads.
    """
    hashes = {name: value for name, value in objective.items() if name.endswith("_sha256") and value}
    return {
        "versions": dict(versions()),
        "host": socket.gethostname(),
        "config_sha256": hashlib.sha256(tuning.encode()).hexdigest(),
        **hashes,
    }


def differing(known: Mapping[str, str]) -> dict[str, str]:
    """Return the versions here that are others than those known."""
    return {name: here for name, here in versions().items() if known.get(name) != here}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a source tree
        return ""
