"""The paper engine's events a second beside hftbacktest, a pass that only reads the arrays, and plain Python.

An event is one quote of one venue, or a rate. All play the same stream on one core, in turns, in CPU time (what else
the machine does changes caches, memory and clocks, but not that). Memory is not as fast at one moment as at another,
so what is compared is measured side by side: in each round the arrays are read right before each run of the engine,
and the ratio is that of the two; what is told is the median of the rounds' ratios, and their quartiles. hftbacktest
wants other versions of what we use, so it lives in an environment of its own:

    python -m venv peer && peer/bin/pip install hftbacktest==2.4.4
    python benchmarks/engine/run.py --peer peer/bin/python
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from stream import make_stream

from support.paper_reference import Reference
from tuning_worker.market import engine
from tuning_worker.market.data import ASK, BID
from tuning_worker.market.parameters import make_strategy
from tuning_worker.market.run import Transfers, Venue

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuning_worker.market.data import Market
    from tuning_worker.market.run import Run

FEE = 0.0002
VENUE = Venue(fee=FEE, impact=0.0, latency_ms=5, quote=1e6, base=1e4)
TRADING_PCT, ORDER_USD = 0.02, 100.0
CASES: dict[str, dict[str, float]] = {
    "quiet": {"min_spread_pct": 9.0},
    "trading": {"min_spread_pct": TRADING_PCT},
    "holding": {"min_spread_pct": TRADING_PCT, "max_position_usd": ORDER_USD},
}
"""What differs in the strategy: it never trades; it trades as often as it can; it holds no more than one order buys."""
PEER = "hftbacktest, 2 feeds, trading"
REFERENCE_EVENTS = 20_000
"""Plain Python plays the first of them only."""


class Pair(NamedTuple):
    """CPU seconds of something and, right before it, of what it is measured by."""

    seconds: float
    beside: float

    @property
    def ratio(self) -> float:
        """How fast it is, as a share of the other."""
        return self.beside / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=8_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peer", type=Path, help="a Python that has hftbacktest")
    options = parser.parse_args()
    markets = {
        "2 feeds": make_stream(options.events, rate=False),
        "with a rate": make_stream(options.events, rate=True),
    }
    engine.warm_up()
    with ExitStack() as stack:
        theirs = peer(stack, options.peer, markets["2 feeds"]) if options.peer else None
        found = measure(markets, theirs, options.rounds)
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, numba {numba.__version__}")
    print(f"{options.events} events, {options.rounds} rounds: medians, and quartiles in brackets\n")
    report(found, options.events)
    print(f"\nplain Python, with a rate: {REFERENCE_EVENTS / reference():.0f} events/s")
    for name, market in markets.items():
        for case in ("trading", "holding"):
            result = run(market, case)
            first = first_order(market, case)
            print(f"{name}, {case}: {result.orders} orders, the first after {first} events, {result.exits} exits")


def measure(markets: dict[str, Market], theirs: Callable[[], float] | None, rounds: int) -> dict[str, list[Pair]]:
    """Take turns: each run of the engine beside a pass that reads, and hftbacktest beside the engine's like."""
    found: dict[str, list[Pair]] = {}
    for _ in range(rounds):
        for name, market in markets.items():
            for case in CASES:
                beside = read(market)
                found.setdefault(f"engine, {name}, {case}", []).append(Pair(play(market, case), beside))
        if theirs:
            ours = play(markets["2 feeds"], "trading")
            found.setdefault(PEER, []).append(Pair(theirs(), ours))
    return found


def read(market: Market) -> float:
    """Read what the engine reads of every event: whose it is, bid and ask, 17 bytes in all."""
    whose = market.feed[: len(market.feed) // 8 * 8].view(np.int64)
    started = time.process_time()
    _ = whose.sum(), market.cells[BID].sum(), market.cells[ASK].sum()
    return time.process_time() - started


def play(market: Market, case: str) -> float:
    started = time.process_time()
    run(market, case)
    return time.process_time() - started


def run(market: Market, case: str) -> Run:
    given = {"exit_spread_pct": 99.0, "order_size_usd": ORDER_USD, "max_position_usd": 1e5, **CASES[case]}
    return engine.simulate(market, (VENUE, VENUE), make_strategy(given, "usd", 1e6))


def first_order(market: Market, case: str) -> int:
    """Return how many events it takes until something is ordered."""

    def ordered(count: int) -> bool:
        return run(replace(market, stretches=np.array([[0, count, 0]])), case).orders > 0

    return bisect.bisect_left(range(len(market.local)), x=True, lo=100, key=ordered)


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


def report(found: dict[str, list[Pair]], events: int) -> None:
    print("| | M events/s | only reading | share of it | x hftbacktest |\n| --- | ---: | ---: | ---: | ---: |")
    theirs = statistics.median(pair.seconds for pair in found[PEER]) if PEER in found else None
    for name, pairs in found.items():
        if name == PEER:
            continue
        seconds = statistics.median(pair.seconds for pair in pairs)
        beside = statistics.median(pair.beside for pair in pairs)
        ratio = f"{theirs / seconds:.0f}" if theirs else ""
        share = quartiles([pair.ratio for pair in pairs], ".2f")
        print(f"| {name} | {events / seconds / 1e6:.0f} | {events / beside / 1e6:.0f} | {share} | {ratio} |")
    if theirs:
        times = quartiles([1 / pair.ratio for pair in found[PEER]], ".0f")
        print(f"| {PEER} | {events / theirs / 1e6:.1f} | | | 1 |\n\nthe engine beside it, trading: {times} times")


def quartiles(values: list[float], form: str) -> str:
    low, middle, high = statistics.quantiles(values, method="inclusive")
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


main()
