"""How much memory several workers take that tune on the same quotes: one copy of them, or one each?

Each process loads the market as a worker does (`Dataset.load`), runs the engine over all of it once, and waits. RSS
counts a page that several share for each of them; PSS divides it among them, so its sum is what is really taken. The
same with a market of a few rows says what Python and the libraries take.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tuning_worker.market.kernel.caching import cache_folder

EVENT_BYTES = 8 + 8 + 1 + 4 * 8
"""Of an event with one level: local and exchange time, feed, cells."""

WORKER = """
import json, sys, time
from pathlib import Path
from tuning_worker.market.dataset import Dataset, FeedsSpec
from tuning_worker.market.engine import simulate, warm_up
from tuning_worker.market.parameters import make_strategy
from tuning_worker.market.run import Venue

folder = Path(sys.argv[1])
began = time.perf_counter()
data = Dataset(FeedsSpec(venue_a="a.parquet", venue_b="b.parquet"), folder)
market = data.load(None, default_size=1.0)
loaded = time.perf_counter() - began
warm_up()
venue = Venue(fee=0.0, impact=0.0, latency_ms=1.0, quote=1e6, base=1e2)
began = time.perf_counter()
run = simulate(market, (venue, venue), make_strategy({"slippage_bps": 5}, "", 1e6))
played = time.perf_counter() - began
arrays = [market.local, market.exchange, market.feed, market.cells]
touched = [each.sum() for each in arrays]  # also what the engine had no need to look at
size = sum(each.nbytes for each in arrays)
print(json.dumps({"load_s": loaded, "run_s": played, "orders": run.orders, "bytes": size}), flush=True)
sys.stdin.read()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="of the quotes in memory (%(default)s)")
    parser.add_argument("--workers", type=int, default=8, help="(%(default)s)")
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="orch-memory-") as name:
        folder = Path(name)
        empty = measure(folder / "few", options.workers, events=1000)
        full = measure(folder / "many", options.workers, events=options.megabytes * 10**6 // EVENT_BYTES)
    size = full["bytes"] / 1e6
    print(f"{options.workers} workers on {size:,.0f} MB of quotes; load {os.getloadavg()[0]:.1f} at the end")
    for what in ("rss", "pss"):
        more = full[what] - empty[what]
        print(f"{what.upper()}: {full[what]:,.0f} MB together, {empty[what]:,.0f} MB without the quotes:", end=" ")
        print(f"{more:,.0f} MB more, {more / size:.2f} copies")
    print(f"{full['made_s']:.1f} s until all had it, one of them having made it; a next one loads it in", end=" ")
    print(f"{full['again_s']:.2f} s, hashing the files included")


def measure(folder: Path, workers: int, *, events: int) -> dict[str, float]:
    folder.mkdir()
    for seed, name in enumerate("ab"):
        write_feed(folder / f"{name}.parquet", seed, events // 2)
    environ = {**os.environ, "XDG_CACHE_HOME": str(folder), "NUMBA_CACHE_DIR": str(cache_folder().parent)}
    began = time.perf_counter()
    children = [start(folder, environ) for _ in range(workers)]
    told = [json.loads(child.stdout.readline()) for child in children if child.stdout]
    took = time.perf_counter() - began
    # Who made the market held it in memory of its own before; in a session that is the check at submit, which ends.
    maker = max(range(workers), key=lambda each: smaps(children[each].pid)["Pss"])
    children[maker].communicate()
    children[maker] = start(folder, environ)
    again = json.loads(children[maker].stdout.readline())  # type: ignore[union-attr]  # a pipe was asked for
    sums = [smaps(child.pid) for child in children]
    for child in children:
        child.communicate()
    assert len({each["orders"] for each in (*told, again)}) == 1
    return {
        "rss": sum(each["Rss"] for each in sums) / 1e3,
        "pss": sum(each["Pss"] for each in sums) / 1e3,
        "bytes": again["bytes"],
        "made_s": took,
        "again_s": again["load_s"],
    }


def start(folder: Path, environ: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder)]
    return subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def smaps(pid: int) -> dict[str, float]:
    """Return what the kernel says of a process, in kB (of 1024 bytes, made 1000)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1.024 for line in lines}


def write_feed(path: Path, seed: int, rows: int) -> None:
    draw = np.random.default_rng(seed)
    times = 1_700_000_000_000_000_000 + np.cumsum(draw.integers(1_000_000, 9_000_000, rows))
    bid = 50_000 + np.cumsum(draw.integers(-1, 2, rows)) * 0.5
    columns = {
        "local_ts": times + 2_000_000,
        "exchange_ts": times,
        "bid": bid,
        "ask": bid + 0.5,
        "bid_size": draw.integers(1, 1000, rows) / 1000,
        "ask_size": draw.integers(1, 1000, rows) / 1000,
    }
    parquet.write_table(pa.table(columns), path, compression="zstd", compression_level=1)


if __name__ == "__main__":
    main()
