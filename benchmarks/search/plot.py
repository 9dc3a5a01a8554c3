"""The plot: how the regret falls, a panel for each problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from results import Results

# What tells the story, and no more: by method its label, colour, width and dashes.
LINES = {
    "random": ("random", "#9a9a9a", 1.4, (1, 1.5)),
    "optuna": ("Optuna, sequential", "#111111", 1.6, ()),
    "async-1": ("ours, sequential", "#0072b2", 1.6, ()),
    "optuna-8-processes": ("Optuna, 8 processes", "#111111", 1.6, (4, 2)),
    "async-8": ("ours, 8 asynchronous workers", "#d55e00", 2.4, ()),
}
_FIRST = 10  # until then all is random


def plot(results: Results, problems: Sequence[str], path: Path) -> None:
    """Draw the mean regret by iterations; about that of eight workers a band of one standard error."""
    mpl.rcParams.update({"svg.hashsalt": "search", "svg.fonttype": "none", "font.size": 10})
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    for axes, problem in zip(panels, problems, strict=False):
        _panel(axes, results, problem)
    for axes in panels[len(problems) :]:
        axes.axis("off")
    panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="center", frameon=False, fontsize=11)
    figure.savefig(path, metadata={"Date": None})


def _panel(axes: Axes, results: Results, problem: str) -> None:
    for method, (label, colour, width, dashes) in LINES.items():
        known = sorted(at for name, each, at in results.regrets if (name, each) == (problem, method))
        ats = [at for at in known if _FIRST <= at <= 300]
        runs = [np.array(list(results.of(problem, method, at).values())) for at in ats]
        means = np.array([values.mean() for values in runs])
        axes.plot(ats, means, label=label, color=colour, linewidth=width, dashes=dashes or (None, None))
        if method == "async-8":
            errors = np.array([values.std() / len(values) ** 0.5 for values in runs])
            axes.fill_between(ats, means - errors, means + errors, color=colour, alpha=0.2, linewidth=0)
    axes.set(title=problem, xscale="log", yscale="log", xlabel="iterations", ylabel="mean regret")
    axes.set_xticks([10, 30, 100, 300], ["10", "30", "100", "300"])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if means.max() < 100 * means.min() else (1,)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(visible=True, color="#e5e5e5", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
