"""Markets that processes share: made once, mapped by all, made again where something is wrong with the files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tuning_worker.market.data import Quotes, merge
from tuning_worker.market.engine import simulate
from tuning_worker.market.feeds import cache
from tuning_worker.market.feeds.cache import shared
from tuning_worker.market.kernel import play
from tuning_worker.market.parameters import make_strategy
from tuning_worker.market.run import Venue

if TYPE_CHECKING:
    from pathlib import Path

    from tuning_worker.market.data import Market

NAMES = ("local", "exchange", "feed", "cells", "stretches")

CHILD = """
import json, os, resource, signal, sys
from pathlib import Path
from tuning_worker.market.data import Quotes, merge
from tuning_worker.market.feeds.cache import shared
import numpy as np

folder, log, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def build():
    with log.open("a") as file:
        file.write("built\\n")
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    times = np.arange(1, 20_001) * 10**6
    return merge(*(Quotes(times, times, np.full((4, len(times)), each)) for each in (1.0, 2.0)), breaks=[5 * 10**9])

if what == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
print("ready", flush=True)
sys.stdin.readline()
market = shared("here", ["key"], build, folder=folder)
maps = Path("/proc/self/maps").read_text()
print(json.dumps({"mapped": "cells.npy" in maps, "sum": float(market.cells.sum()), "events": market.events}))
"""


def market(bid: float = 1.0, *, exchange: bool = True) -> Market:
    times = np.array([1, 2, 5], dtype=np.int64) * 10**9
    quotes = [Quotes(times + each, times if exchange else None, np.full((4, 3), bid + each)) for each in (0, 1)]
    return merge(*quotes, source="made", breaks=[4 * 10**9])


def start(folder: Path, log: Path, what: str = "works") -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(log), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def finish(child: subprocess.Popen[str]) -> Any:
    told, _ = child.communicate("go\n", timeout=300)
    return json.loads(told) if told else None


def test_of_processes_that_start_together_one_makes_it(tmp_path: Path) -> None:
    children = [start(tmp_path / "cache", tmp_path / "log") for _ in range(3)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [json.loads(child.communicate(timeout=300)[0]) for child in children]
    assert told == [{"mapped": True, "sum": 240_000.0, "events": 40_000}] * 3
    assert (tmp_path / "log").read_text() == "built\n"


def test_one_that_is_killed_while_it_makes_it_leaves_no_trace(tmp_path: Path) -> None:
    folder, log = tmp_path / "cache", tmp_path / "log"
    assert finish(start(folder, log, "dies")) is None
    (folder / "unfinished-1").mkdir()
    assert finish(start(folder, log))["mapped"]
    assert log.read_text() == "built\nbuilt\n"
    assert not list(folder.glob("unfinished-*"))


def test_where_the_disk_is_full_it_stays_in_memory(tmp_path: Path) -> None:
    told = finish(start(tmp_path / "cache", tmp_path / "log", "full"))
    assert told == {"mapped": False, "sum": 240_000.0, "events": 40_000}
    assert [each.name for each in (tmp_path / "cache").iterdir()] == ["lock"]


@pytest.mark.parametrize("exchange", [True, False])
def test_what_is_mapped_is_what_was_made(tmp_path: Path, exchange: bool) -> None:  # noqa: FBT001
    made = market(exchange=exchange)
    for _ in range(2):
        found = shared("here", ["key"], lambda: made, folder=tmp_path)
        assert all(np.array_equal(getattr(found, name), getattr(made, name)) for name in NAMES)
        assert (found.has_rate, found.days, found.source) == (False, made.days, "here")
        assert not found.cells.flags.writeable
        assert not found.cells.flags.owndata
        assert np.shares_memory(found.local, found.exchange) is not exchange


def test_it_is_not_made_again_until_something_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def ask(*key: object) -> Market:
        return shared("here", key, lambda: calls.append(key) or market(), folder=tmp_path)

    ask("one")
    ask("one")
    assert len(calls) == 1
    ask("one", 2.0)
    monkeypatch.setattr(cache, "_code", lambda: "another version")
    ask("one")
    assert len(calls) == 3


@pytest.mark.parametrize("name", ["cells.npy", "market.json", "starts.npy"])
def test_files_that_are_not_whole_are_made_again(tmp_path: Path, name: str) -> None:
    shared("here", ["key"], market, folder=tmp_path)
    (file,) = tmp_path.glob(f"*/{name}")
    os.truncate(file, file.stat().st_size - 8)
    found = shared("here", ["key"], market, folder=tmp_path)
    assert np.array_equal(found.cells, market().cells)
    assert len(list(tmp_path.glob("*/cells.npy"))) == 1


def test_beyond_the_limit_the_one_not_used_for_longest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(key: str, at: int) -> Path:
        before = set(tmp_path.iterdir())
        found = shared("here", [key], market, folder=tmp_path)
        assert found.events == 6
        (place,) = {each for each in tmp_path.iterdir() if each.is_dir()} - before or {places.get(key)}
        assert place is not None
        os.utime(place, (at, at))
        return place

    places: dict[str, Path] = {}
    places["a"] = ask("a", 1)
    places["b"] = ask("b", 2)
    size = sum(file.stat().st_size for file in places["a"].iterdir())
    monkeypatch.setattr(cache, "LIMIT", 2 * size)
    ask("a", 3)
    places["c"] = ask("c", 4)
    assert {name: place.exists() for name, place in places.items()} == {"a": True, "b": False, "c": True}
    monkeypatch.setattr(cache, "LIMIT", 0)
    places["d"] = ask("d", 5)
    assert [place.exists() for place in places.values()] == [False, False, False, True]


def test_without_a_folder_it_is_made_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert shared("here", ["key"], market, folder=tmp_path / "file" / "cache").source == "made"


def test_a_user_without_a_home_has_it_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31)  # nobody's
    assert shared("here", ["key"], market).source == "made"


def test_the_engine_takes_mapped_arrays_as_they_are_without_compiling_again(tmp_path: Path) -> None:
    venue = Venue(fee=0.0, impact=0.0, latency_ms=0, quote=1e6, base=1e3)
    strategy = make_strategy({"slippage_bps": 9}, "", 1e6)
    plain = simulate(market(), (venue, venue), strategy)
    before = list(play.play.signatures)
    found = shared("here", ["key"], market, folder=tmp_path)
    assert simulate(found, (venue, venue), strategy) == plain
    assert play.play.signatures == before
