"""Markets as files that every process on the host maps, so that many workers hold one copy of the quotes.

A folder a market, named after the content of what it was made from and the code that made it, so that it is never out
of date: `local.npy`, `feed.npy`, `cells.npy`, `starts.npy`, `exchange.npy` where it is another than `local`, and
`market.json`. It is written beside its place and renamed when it is whole, by one process at a time: workers that start
together wait for the first of them. When all of it is larger than `LIMIT`, what was not used for longest is removed.
It can be deleted at any time: who has mapped it keeps what it has mapped.

Where the folder cannot be used or the disk is full, the market is made in memory, for this process alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tuning_worker.market.data import assemble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tuning_worker.market.data import Market

LIMIT: Final = 10 * 2**30
"""Bytes of all markets together. The one that was made last stays, whatever its size."""
_UNFINISHED: Final = "unfinished-"
_FACTS: Final = "market.json"


def cache_folder() -> Path:
    """Return where markets are kept: `orch/market` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "orch" / "market"


def shared(source: str, key: Iterable[object], build: Callable[[], Market], *, folder: Path | None = None) -> Market:
    """Return the market that `build` makes, mapped from files; they are made by the first who asks.

    Args:
        source: what to call it in messages.
        key: what the market follows from: content hashes, not paths.
        build: makes it. Not called where the files are there.
        folder: where they are; `cache_folder()` by default.
    """
    try:
        folder = folder or cache_folder()
    except RuntimeError:  # a user without a home
        return build()
    digest = hashlib.sha256(json.dumps([_code(), *map(str, key)]).encode())
    place = folder / digest.hexdigest()[:32]
    found = _mapped(place, source)
    if found is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("ab")
    except OSError:
        return build()
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _mapped(place, source)  # by now another may have made it
        if found is not None:
            return found
        market = build()
        try:
            _write(place, market)
            _evict(folder, keep=place)
        except OSError:
            return market
    return _mapped(place, source) or market


def _mapped(place: Path, source: str) -> Market | None:
    """Return the market in a folder, None where there is none, or no whole one."""
    try:
        facts = json.loads((place / _FACTS).read_text())
        arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r") for name in facts["arrays"]}
    except (OSError, ValueError, KeyError):
        return None
    with suppress(OSError):
        os.utime(place)  # used now
    return assemble(
        source=source,
        local=arrays["local"],
        exchange=arrays.get("exchange", arrays["local"]),
        feed=arrays["feed"],
        cells=arrays["cells"],
        starts=np.array(arrays["starts"]),
        has_rate=facts["has_rate"],
    )


def _write(place: Path, market: Market) -> None:
    for old in place.parent.glob(f"{_UNFINISHED}*"):  # of one that was killed: we hold the lock
        shutil.rmtree(old, ignore_errors=True)
    arrays: dict[str, Any] = {name: getattr(market, name) for name in ("local", "feed", "cells")}
    arrays["starts"] = market.stretches[:, 0]
    if not np.shares_memory(market.local, market.exchange):
        arrays["exchange"] = market.exchange
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=place.parent))
    try:
        for name, array in arrays.items():
            with (unfinished / f"{name}.npy").open("wb") as file:
                np.save(file, array)
                file.flush()
                os.fsync(file.fileno())
        facts = {"has_rate": market.has_rate, "arrays": sorted(arrays)}
        (unfinished / _FACTS).write_text(json.dumps(facts))
        shutil.rmtree(place, ignore_errors=True)  # where it was not whole
        unfinished.rename(place)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _evict(folder: Path, *, keep: Path) -> None:
    """Remove what was not used for longest until the rest is within the limit."""
    sizes = {each: sum(file.stat().st_size for file in each.iterdir()) for each in folder.iterdir() if each.is_dir()}
    total = sum(sizes.values())
    for each in sorted(sizes, key=lambda each: each.stat().st_mtime):
        if total <= LIMIT:
            return
        if each != keep:
            shutil.rmtree(each, ignore_errors=True)
            total -= sizes[each]


@cache
def _code() -> str:
    """Return a hash of the code that reads files and lays markets out."""
    market = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for file in (*(market / f"{name}.py" for name in ("data", "rows", "source")), *sorted(market.glob("feeds/*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()
