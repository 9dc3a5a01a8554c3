"""What `run.py` and `real.py` found, read back: the regret of each run, and how sure one may be of its mean.

Regret is the best value so far less the optimum (where nobody knows it, less the best that any run found). The regret
reduction is how much of the regret of random search, after as many iterations, a method takes away.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

OPTIMA = {"branin": 0.39788735772973816, "hartmann6": -3.322368011391339, "failing": -3.322368011391339}
OPTIMA |= {"rosenbrock5": 0.0, "mixed": 0.0}
_RESAMPLES = 5000

Means: TypeAlias = "np.ndarray"
"""A mean for each resample, or one."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval: seeds are drawn again with replacement (percentile bootstrap)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Results:
    """The regrets of all runs.

    Attributes:
        regrets: by problem, method and iterations: the regret of each seed. A run is known after all its checkpoints,
            so a long one counts among the short ones too.
        cpu: by problem, method and total: CPU seconds of each run.
    """

    regrets: dict[tuple[str, str, int], dict[int, float]]
    cpu: dict[tuple[str, str, int], list[float]]

    def of(self, problem: str, method: str, at: int) -> dict[int, float]:
        """The regret of each seed after so many iterations; empty where nothing was run."""
        return self.regrets.get((problem, method, at), {})

    def estimate(
        self, problem: str, methods: Iterable[str], at: int, figure: Callable[..., Means]
    ) -> tuple[Estimate, int] | None:
        """A figure of the mean regrets of these methods, and over how many seeds; None where a method was not run.

        Seeds that all of them have are drawn again together: a seed's first candidates are the same for all of ours.
        """
        by_seed = [self.of(problem, method, at) for method in methods]
        seeds = sorted(set.intersection(*map(set, by_seed)))
        if not seeds:
            return None
        table = np.array([[each[seed] for seed in seeds] for each in by_seed])
        drawn = np.random.default_rng(0).integers(0, len(seeds), (_RESAMPLES, len(seeds)))
        low, high = np.quantile(figure(*table[:, drawn].mean(axis=2)), [0.025, 0.975])
        return Estimate(float(figure(*table.mean(axis=1))), float(low), float(high)), len(seeds)


def read(paths: Iterable[Path]) -> Results:
    """All runs of these files."""
    entries = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    best = dict(OPTIMA)
    for entry in entries:
        if entry["problem"] not in OPTIMA:
            best[entry["problem"]] = min(best.get(entry["problem"], np.inf), *entry["best"].values())
    results = Results({}, {})
    # A session ends with fewer workers than it had, so of two runs the one that comes closer to its end there counts.
    for entry in sorted(entries, key=lambda entry: -entry["total"]):
        problem, method = entry["problem"], entry["method"]
        for at, value in entry["best"].items():
            of_seeds = results.regrets.setdefault((problem, method, int(at)), {})
            of_seeds[entry["seed"]] = max(value - best[problem], 0)  # values are rounded
        results.cpu.setdefault((problem, method, entry["total"]), []).append(entry.get("cpu_seconds", np.nan))
    return results
