"""Bayesian search: what TPE is shown, and when it is asked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from typing_extensions import override

from tuning_worker.optimizers.known import find_best, find_latest
from tuning_worker.optimizers.results_only import ResultsOnly
from tuning_worker.space.draws import draw, random_point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuning_worker.optimizers.protocol import Result
    from tuning_worker.space.search_space import Point

STARTUP = 10
"""Until this many iterations have a value, the candidate of g is the one that random search has for g."""
BEST = 300
LATEST = 300
"""TPE is shown the best 300 and the latest 300 (by g) results: an ask takes longer the more it is shown."""
GOOD_SHARE, MOST_GOOD = 0.1, 25
"""This share of what has a value is good, and at most so many; the rest, and what FAILED, is bad."""


class BayesianOptimizer(ResultsOnly):
    """TPE on what the session knows, the same for the same knowledge whatever the order in which it came.

    - Candidates under evaluation change nothing: those of different g differ by chance. As places to stay away from
      (Optuna's constant liars) they gain nothing, and keep workers off what is best.
    - FAILED iterations are places to stay away from, without a made-up number.
    - Results outside the space (of an earlier form of the config, say) are not shown.
    - With several objectives the best are those on the first fronts (Ozaki et al. 2020, "Multiobjective tree-structured
      Parzen estimator for computationally expensive optimization problems").
    - On one machine and one set of libraries candidates are the same bit for bit; NumPy does not promise that its
      logarithms are the same on every processor, so unlike random and grid they may differ between machines.
    """

    @override
    def _suggest(self, g: int, results: Sequence[Result], attempt: int) -> Point:
        search = self._search
        best = find_best(search, results, BEST)
        if len(best) < STARTUP:
            return random_point(search.space, search.seed, g, attempt)
        from tuning_worker.optimizers import tpe  # noqa: PLC0415 - NumPy takes 0.1 s, and `check` never asks

        good = min(math.ceil(GOOD_SHARE * len(best)), MOST_GOOD)
        shown = [result.params for result in (*best, *find_latest(search, results, best, LATEST))]
        seed = draw(32, "bayesian", search.seed, g, attempt)
        found = tpe.suggest(search.space, shown[:good], shown[good:], seed=seed)
        return random_point(search.space, search.seed, g, attempt) if found is None else found
