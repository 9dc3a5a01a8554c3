"""Bayesian search: what TPE is shown and when it is asked. How Optuna is asked is `tpe.py`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tuning_worker.optimizers.known import find_best
from tuning_worker.space.draws import draw, random_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.optimizers.protocol import Result, Search
    from tuning_worker.space.search_space import Params, Point

STARTUP = 10
"""Until this many iterations have a value, the candidate of g is the one that random search has for g."""
BEST = 300
LATEST = 300
"""TPE is shown the best 300 and the latest 300 (by g) results: an ask takes longer the more it is shown."""
LIARS = False
"""Whether it is shown what is under evaluation too, which would repel: `benchmarks/search` measures both."""


class BayesianOptimizer:
    """TPE on what the session knows, the same for the same knowledge whatever the order in which it came.

    - Candidates under evaluation change nothing: those of different g differ by chance. As places to stay away from
      (Optuna's constant liars) they keep workers off what is best, which short sessions pay for.
    - FAILED iterations are places to stay away from, without a made-up number.
    - Results outside the space (of an earlier form of the config, say) are not shown.
    - With several objectives it is multi-objective TPE; the best are then those that the fewest others beat.
    - On one machine and one set of libraries candidates are the same bit for bit; NumPy does not promise that its
      logarithms are the same on every processor, so unlike random and grid they may differ between machines.
    """

    learns: ClassVar[bool] = True
    unique: ClassVar[bool] = True

    def __init__(self, search: Search) -> None:
        self._search = search

    def suggest(self, g: int, results: Sequence[Result], pending: Mapping[int, Params], attempt: int = 0) -> Point:
        """The candidate of g given what is known; another one for each `attempt`."""
        search = self._search
        best = find_best(search, results, BEST)
        if len(best) < STARTUP:
            return random_point(search.space, search.seed, g, attempt)
        from tuning_worker.optimizers import tpe  # noqa: PLC0415 - Optuna takes 0.2 s, and `check` never asks
        from tuning_worker.optimizers.studies import choose_shown  # noqa: PLC0415 - as above

        liars = {i: each for i, each in pending.items() if i != g} if LIARS else {}
        shown = choose_shown(search, best, results, liars, LATEST)
        found = tpe.suggest(search.space, shown, seed=draw(32, "bayesian", search.seed, g, attempt))
        return random_point(search.space, search.seed, g, attempt) if found is None else found
