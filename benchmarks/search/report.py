"""The tables and the plot of what `run.py` found: `report.py RESULTS.jsonl … --out FOLDER`.

Regret is the best value so far less the optimum (where nobody knows it, less the best that any search found). The
regret reduction is how much of the regret of random search, after as many iterations, a method takes away.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean, median
from typing import TypeAlias

from matplotlib.figure import Figure

OPTIMA = {"branin": 0.39788735772973816, "hartmann6": -3.322368011391339, "failing": -3.322368011391339}
OPTIMA |= {"rosenbrock5": 0.0, "mixed": 0.0}
Regrets: TypeAlias = dict[tuple[str, str, int], dict[int, float]]
"""By problem, method and iterations: the regret of each seed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--at", nargs="+", type=int, default=[100, 300])
    options = parser.parse_args()
    found = regrets([json.loads(line) for path in options.results for line in path.read_text().splitlines()])
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join(table(found, at) for at in options.at)
    (options.out / "search.md").write_text(text + "\n")
    print(text)
    plot(found, options.out / "search.svg")


def regrets(entries: list[dict[str, dict[str, float]]]) -> Regrets:
    """A run is known to all its checkpoints, so a long one counts among the short ones too."""
    best: dict[str, float] = dict(OPTIMA)
    for entry in entries:
        name = str(entry["problem"])
        if name not in OPTIMA:
            best[name] = min(best.get(name, float("inf")), *entry["best"].values())
    found: Regrets = defaultdict(dict)
    for entry in entries:
        for at, value in entry["best"].items():
            name, seed = str(entry["problem"]), int(str(entry["seed"]))
            found[name, str(entry["method"]), int(at)][seed] = value - best[name]
    return found


def table(found: Regrets, at: int) -> str:
    """Markdown: mean and median regret, and the regret reduction, over the seeds that random search has too."""
    lines = [
        f"After {at} iterations:",
        "",
        "| problem | method | seeds | mean regret | median regret | regret reduction | of sequential Optuna's |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (name, method, count), by_seed in sorted(found.items()):
        chance, alone = found.get((name, "random", at)), found.get((name, "optuna", at), {})
        if count != at or not chance or not (seeds := by_seed.keys() & chance.keys()):
            continue
        reduction = _reduction(by_seed, chance, seeds)
        same = by_seed.keys() & chance.keys() & alone.keys()
        share = f"{_reduction(by_seed, chance, same) / _reduction(alone, chance, same):.0%}" if same else ""
        values = [by_seed[seed] for seed in seeds]
        lines.append(
            f"| {name} | {method} | {len(seeds)} | {fmean(values):.4g} | {median(values):.4g} "
            f"| {reduction:.0%} | {share} |"
        )
    return "\n".join(lines)


def _reduction(by_seed: dict[int, float], chance: dict[int, float], seeds: set[int]) -> float:
    return 1 - fmean(by_seed[seed] for seed in seeds) / fmean(chance[seed] for seed in seeds)


def plot(found: Regrets, path: Path) -> None:
    """The mean regret by iterations, a panel for each problem."""
    names = sorted({name for name, _, _ in found})
    figure = Figure(figsize=(4 * len(names), 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for method in sorted({method for each, method, _ in found if each == name}):
            points = sorted((at, fmean(by.values())) for (n, m, at), by in found.items() if (n, m) == (name, method))
            axes.plot(*zip(*points, strict=True), label=method, linewidth=1)
        axes.set(title=name, xlabel="iterations", xscale="log", yscale="log")
    figure.axes[0].set_ylabel("mean regret")
    figure.axes[-1].legend(fontsize=6)
    figure.savefig(path)


if __name__ == "__main__":
    main()
