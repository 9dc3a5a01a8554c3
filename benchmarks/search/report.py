"""The tables and the plot of what `run.py` and `real.py` found, written into README.md and search.svg beside it.

`report.py RESULTS.jsonl …`; the blocks between `<!-- measured: NAME -->` and `<!-- end -->` are written anew.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from plot import plot
from results import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from results import Estimate, Results

README = Path(__file__).resolve().parent / "README.md"
PROBLEMS = ("branin", "hartmann6", "mixed", "rosenbrock5", "arbitrage")
PARALLEL = ("async-4", "async-8", "async-16", "batch-4", "batch-8", "batch-16", "liars-8", "as-optuna-8")
PARALLEL += ("optuna-8-processes",)
METHODS = ("random", "optuna", "async-1", *PARALLEL)
AT = (100, 300)
GOAL = 0.9
_BLOCK = re.compile(r"(?P<mark><!-- measured: (?P<name>[\w-]+) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="+", type=Path)
    results = read(parser.parse_args().results)
    blocks = {"goal": goal(results), "capped": capped(results, 1000), "real": real(results, 100)}
    blocks |= {f"regret-{at}": regret(results, at) for at in AT} | {f"share-{at}": share(results, at) for at in AT}
    text = README.read_text()
    README.write_text(_BLOCK.sub(lambda found: found["mark"] + "\n".join(blocks[found["name"]]) + "\n", text))
    plot(results, PROBLEMS, README.with_name("search.svg"))


def _reduction_of_optunas(method: np.ndarray, chance: np.ndarray, alone: np.ndarray) -> np.ndarray:
    return (chance - method) / (chance - alone)


def _reduction_less(method: np.ndarray, other: np.ndarray, chance: np.ndarray) -> np.ndarray:
    return (other - method) / chance


def regret(results: Results, at: int) -> Iterator[str]:
    """Mean regret and its standard error, for each method and problem."""
    yield from _head("method", *PROBLEMS)
    for method in METHODS:
        cells = []
        for problem in PROBLEMS:
            values = np.array(list(results.of(problem, method, at).values()))
            spread = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
            cells.append(f"{values.mean():#.3g} ± {spread:#.2g}" if len(values) else "")
        if any(cells):
            yield _row(method, *cells)


def share(results: Results, at: int) -> Iterator[str]:
    """The regret reduction as a share of sequential Optuna's, in percent, with its interval."""
    yield from _head("method", *PROBLEMS)
    for method in ("async-1", *PARALLEL):
        found = [
            results.estimate(problem, (method, "random", "optuna"), at, _reduction_of_optunas) for problem in PROBLEMS
        ]
        if any(found):
            yield _row(method, *(_percent(each[0]) if each else "" for each in found))


def goal(results: Results) -> Iterator[str]:
    """Eight asynchronous workers: their share of what sequential runs reach, and against Optuna's eight processes."""
    yield from _head(
        "problem",
        "iterations",
        "of sequential Optuna's",
        "at least 90 %?",
        "of our own sequential's",
        "ahead of Optuna's 8",
    )
    for problem in PROBLEMS:
        for at in AT:
            optunas = results.estimate(problem, ("async-8", "random", "optuna"), at, _reduction_of_optunas)
            ours = results.estimate(problem, ("async-8", "random", "async-1"), at, _reduction_of_optunas)
            ahead = results.estimate(problem, ("async-8", "optuna-8-processes", "random"), at, _reduction_less)
            if optunas and ours:
                told = (_percent(optunas[0]), _verdict(optunas[0]), _percent(ours[0]))
                yield _row(problem, str(at), *told, _percent(ahead[0]) if ahead else "")


def _verdict(found: Estimate) -> str:
    if found.low >= GOAL:
        return "yes"
    if found.high < GOAL:
        return "no"
    return "yes, but within the noise" if found.value >= GOAL else "no, but within the noise"


def capped(results: Results, at: int) -> Iterator[str]:
    """The best 300 and the latest 300 results shown, against all of them."""
    yield from _head(
        "problem", "seeds", "regret, capped", "regret, all shown", "capped less all", "CPU s a run", "all shown"
    )
    for problem in PROBLEMS:
        both = ("async-8", "uncapped-8")
        if found := results.estimate(problem, both, at, np.subtract):
            difference, seeds = found
            means = [results.estimate(problem, both, at, lambda *means, i=i: means[i]) for i in range(2)]
            told = [f"{mean[0].value:#.3g}" for mean in means if mean]
            interval = f"{difference.value:+.2g} ({difference.low:+.2g} to {difference.high:+.2g})"
            cpu = [f"{np.median(results.cpu[problem, method, at]):.1f}" for method in both]
            yield _row(problem, str(seeds), *told, interval, *cpu)


def real(results: Results, at: int) -> Iterator[str]:
    """Real processes and simulated ones, and how often chance alone would tell them as far apart."""
    yield from _head("Branin, after 100 iterations", "seeds", "least", "median", "most", "mean log10")
    runs = {"`orch run`, 8 processes": "orch-run-async-8", "simulated": "async-8"}
    found = {label: np.array(list(results.of("branin", method, at).values())) for label, method in runs.items()}
    for label, values in found.items():
        if len(values):
            figures = (values.min(), np.median(values), values.max())
            yield _row(label, str(len(values)), *(f"{each:#.2g}" for each in figures), f"{np.log10(values).mean():.2f}")
    if all(map(len, found.values())):
        yield ""
        yield f"Labels drawn at random give mean logarithms as far apart in {_by_chance(*found.values()):.0%} of cases."


def _by_chance(one: np.ndarray, other: np.ndarray, times: int = 10_000) -> float:
    """The p-value of a permutation test of the difference of mean logarithms."""
    pool, rng = np.log10(np.concatenate([one, other])), np.random.default_rng(0)
    drawn = rng.permuted(np.tile(pool, (times, 1)), axis=1)
    apart = np.abs(drawn[:, : len(one)].mean(axis=1) - drawn[:, len(one) :].mean(axis=1))
    return float(np.mean(apart >= abs(pool[: len(one)].mean() - pool[len(one) :].mean())))


def _head(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield _row("---", *("---:" for _ in cells[1:]))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _percent(found: Estimate) -> str:
    return f"{100 * found.value:.0f} ({100 * found.low:.0f} to {100 * found.high:.0f})"


if __name__ == "__main__":
    main()
