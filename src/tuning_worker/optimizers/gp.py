"""Bayesian search by a Gaussian process, Optuna's: for few parameters, and iterations that take long."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from orchestrator.errors import UsageError
from tuning_worker.optimizers.known import find_best
from tuning_worker.space.draws import draw, random_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.optimizers.protocol import Result, Search
    from tuning_worker.space.search_space import Params, Point

STARTUP = 10
"""Until this many iterations have a value, candidates are those of random search."""
BEST = 100
LATEST = 100
"""It is shown the best and the latest so many: an ask takes seconds beyond a few hundred."""
_NEEDS = ("scipy", "torch")


class GpOptimizer:
    """The point of the largest expected improvement, candidates under evaluation taken into account.

    With several objectives it is the expected improvement of the front's hypervolume. FAILED iterations are shown with
    the worst loss of those shown, which is there for the sampler alone and recorded nowhere.
    """

    learns: ClassVar[bool] = True
    unique: ClassVar[bool] = True

    def __init__(self, search: Search) -> None:
        self._search = search
        if missing := [name for name in _NEEDS if find_spec(name) is None]:
            raise UsageError(
                f"gp needs {' and '.join(missing)}, which the worker's Python does not have: "
                "pip install 'tuning-orchestrator[gp]' there, or choose bayesian"
            )
        if names := [name for name, each in search.space.dimensions.items() if each.when is not None]:
            raise UsageError(f"gp cannot search parameters with `when` ({', '.join(names)}): choose bayesian or nsga2")

    def suggest(self, g: int, results: Sequence[Result], pending: Mapping[int, Params], attempt: int = 0) -> Point:
        """The candidate of g given what is known; another one for each `attempt`."""
        search = self._search
        best = find_best(search, results, BEST)
        if len(best) < STARTUP:
            return random_point(search.space, search.seed, g, attempt)
        from optuna.samplers import GPSampler  # noqa: PLC0415 - Optuna takes 0.2 s, torch more, and `check` never asks

        from tuning_worker.optimizers.studies import ask_study, choose_shown  # noqa: PLC0415 - as above

        shown = choose_shown(search, best, results, {i: each for i, each in pending.items() if i != g}, LATEST)
        losses = [each.losses for each in shown if each.losses is not None]
        worst = tuple(map(max, zip(*losses, strict=True)))
        shown = [replace(each, losses=worst) if each.failed and each.losses is None else each for each in shown]
        sampler = GPSampler(seed=draw(32, "gp", search.seed, g, attempt), n_startup_trials=1)
        with warnings.catch_warnings(action="ignore"):  # of torch and scipy, about numbers that a fit may well meet
            found = ask_study(search.space, shown, sampler)
        return random_point(search.space, search.seed, g, attempt) if found is None else found
