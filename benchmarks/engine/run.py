"""The paper engine's events a second beside hftbacktest, a pass that only reads the arrays, and plain Python.

An event is one quote of one venue, or a rate. All play the same stream on one core, in turns, and the best of several
rounds counts (CPU time: what else the machine does changes caches and clocks, but not that). Ratios are what to
quote. hftbacktest wants other versions of what we use, so it lives in an environment of its own:

    python -m venv peer && peer/bin/pip install hftbacktest==2.4.4
    python benchmarks/engine/run.py --peer peer/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from stream import make_stream

from support.paper_reference import Reference
from tuning_worker.market import engine
from tuning_worker.market.parameters import make_strategy
from tuning_worker.market.run import Transfers, Venue

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuning_worker.market.data import Market
    from tuning_worker.market.run import Run

FEE = 0.0002
VENUE = Venue(fee=FEE, impact=0.0, latency_ms=5, quote=1e6, base=1e4)
QUIET_PCT, TRADING_PCT = 9.0, 0.04
REFERENCE_EVENTS = 20_000
"""Plain Python plays the first of them only."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peer", type=Path, help="a Python that has hftbacktest")
    options = parser.parse_args()
    pair, triple = (make_stream(options.events, rate=rate) for rate in (False, True))
    engine.warm_up()
    with ExitStack() as stack:
        runs = {
            "read, 2 feeds": lambda: read(pair),
            "engine, 2 feeds, quiet": lambda: play(pair, QUIET_PCT),
            "engine, 2 feeds, trading": lambda: play(pair, TRADING_PCT),
            "read, with a rate": lambda: read(triple),
            "engine, with a rate, quiet": lambda: play(triple, QUIET_PCT),
            "engine, with a rate, trading": lambda: play(triple, TRADING_PCT),
        }
        if options.peer:
            runs["hftbacktest, 2 feeds, trading"] = peer(stack, options.peer, pair)
        best = measure(runs, options.rounds)
    best["plain Python, with a rate"] = reference()
    report(best, options.events, rounds=options.rounds)
    orders = [run(market, TRADING_PCT).orders for market in (pair, triple)]
    print(f"\ntrading: {orders[0]} orders with 2 feeds, {orders[1]} with a rate")


def measure(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Take turns, and the least CPU seconds of each."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            best[name] = min(best[name], run())
    return best


def read(market: Market) -> float:
    """Read what the engine reads at every event: whose it is, bid and ask."""
    whose = market.feed[: len(market.feed) // 8 * 8].view(np.int64)
    started = time.process_time()
    _ = whose.sum(), market.cells[0].sum(), market.cells[1].sum()
    return time.process_time() - started


def play(market: Market, spread: float) -> float:
    started = time.process_time()
    run(market, spread)
    return time.process_time() - started


def run(market: Market, spread: float) -> Run:
    strategy = make_strategy(
        {"min_spread_pct": spread, "exit_spread_pct": 99.0, "order_size_usd": 100, "max_position_usd": 1e5}, "usd", 1e6
    )
    return engine.simulate(market, (VENUE, VENUE), strategy)


def peer(stack: ExitStack, python: Path, market: Market) -> Callable[[], float]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for name in ("local", "exchange", "feed", "cells"):
        np.save(folder / f"{name}.npy", getattr(market, name))
    argv = [str(python), str(Path(__file__).with_name("peer.py")), str(folder), str(TRADING_PCT / 100)]
    child = stack.enter_context(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    assert child.stdin
    stack.callback(child.stdin.close)

    def once() -> float:
        assert child.stdin
        assert child.stdout
        child.stdin.write("go\n")
        child.stdin.flush()
        told: dict[str, Any] = json.loads(child.stdout.readline())
        print(f"hftbacktest: {told}", file=sys.stderr)
        return float(told["seconds"])

    once()  # compiles
    return once


def reference() -> float:
    market = make_stream(REFERENCE_EVENTS, rate=True)
    strategy = make_strategy({"min_spread_pct": TRADING_PCT, "order_size_usd": 100}, "usd", 1e6)
    started = time.process_time()
    Reference(market, (VENUE, VENUE), strategy, Transfers()).run()
    return time.process_time() - started


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown processor")


def report(best: dict[str, float], events: int, *, rounds: int) -> None:
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, numba {numba.__version__}")
    print(f"{events} events, best of {rounds} rounds\n")
    print("| | M events/s | x read | x hftbacktest |\n| --- | ---: | ---: | ---: |")
    theirs = best.get("hftbacktest, 2 feeds, trading")
    for name, seconds in best.items():
        count = REFERENCE_EVENTS if name.startswith("plain") else events
        pace = count / seconds
        passes = events / best["read, with a rate" if "rate" in name else "read, 2 feeds"]
        ratio = f"{pace * theirs / events:.1f}" if theirs else ""
        print(f"| {name} | {pace / 1e6:.3g} | {pace / passes:.2g} | {ratio} |")


main()
