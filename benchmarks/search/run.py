"""Search every problem by every method and seed, and append what was found to a file of JSON lines.

What the file has already is not run again, so the benchmark can be run in pieces and by several processes, each with
a file of its own. `report.py` reads the files.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import optuna
from functions import PROBLEMS
from methods import METHODS, run

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECKPOINTS = (10, 20, 30, 50, 75, 100, 150, 200, 250, 300, 500, 1000, 2000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["random", "optuna", "async-1", "async-8"])
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=PROBLEMS)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--total", type=int, default=300)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(entry["problem"], entry["method"], entry["seed"], entry["total"]) for entry in known}
    with options.out.open("a") as out:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for name in options.problems:
                for method in options.methods:
                    if (name, method, seed, options.total) not in done:
                        append(out, measure(name, method, seed, options.total))


def measure(name: str, method: str, seed: int, total: int) -> dict[str, object]:
    """One search: the best value after each checkpoint, and what it took."""
    busy = time.process_time()
    values = run(method, name, seed, total)
    assert len(values) == total, (method, len(values))
    return {
        "problem": name,
        "method": method,
        "seed": seed,
        "total": total,
        "best": best_after(values),
        "cpu_seconds": round(time.process_time() - busy, 2),
        "load": round(os.getloadavg()[0], 1),
    }


def best_after(values: Iterable[float | None]) -> dict[int, float]:
    """The least value after each checkpoint, to seven digits; None is a failure."""
    best = list(accumulate((float("inf") if value is None else value for value in values), min))
    return {n: float(f"{best[n - 1]:.7g}") for n in CHECKPOINTS if n <= len(best)}


def append(out: TextIO, entry: dict[str, object]) -> None:
    """One line, at once in the file."""
    out.write(json.dumps(entry, separators=(",", ":")) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
