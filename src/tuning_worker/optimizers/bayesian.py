"""Bayesian search: what TPE is shown and when it is asked. How Optuna is asked is `tpe.py`'s."""

from __future__ import annotations

import math
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar

from orchestrator.errors import UsageError
from tuning_worker.optimizers.draws import draw, random_point
from tuning_worker.optimizers.protocol import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tuning_worker.optimizers.protocol import Search
    from tuning_worker.space import Params, Point

STARTUP = 10
"""Until this many iterations have a value, the candidate of g is the one that random search has for g."""
BEST = 300
LATEST = 300
"""TPE is shown the best 300 and the latest 300 (by g) results: an ask takes longer the more it is shown."""


class BayesianOptimizer:
    """TPE on what the session knows, the same for the same knowledge whatever the order in which it came.

    - FAILED iterations are shown as pending ones are: as places to stay away from, without a made-up number.
    - Results outside the space (of an earlier form of the config, say) are not shown.
    - On one machine and one set of libraries candidates are the same bit for bit; NumPy does not promise that its
      logarithms are the same on every processor, so unlike random and grid they may differ between machines.
    """

    learns: ClassVar[bool] = True
    unique: ClassVar[bool] = True

    def __init__(self, search: Search) -> None:
        self._search = search

    def suggest(self, g: int, results: Sequence[Result], pending: Mapping[int, Params], attempt: int = 0) -> Point:
        """The candidate of g given what is known; another one for each `attempt`."""
        space, seed = self._search.space, self._search.seed
        best = self._best(results)
        if len(best) < STARTUP:
            return random_point(space, seed, g, attempt)
        from tuning_worker.optimizers import tpe  # noqa: PLC0415 - Optuna takes 0.2 s, and `check` never asks

        finished = {result.g for result in results}
        running = [Result(i, params, None) for i, params in pending.items() if i != g and i not in finished]
        shown = {result.g: result for result in (*best, *self._latest(results), *self._within(running))}
        ordered = [shown[i] for i in sorted(shown)]
        return tpe.suggest(space, self._search.direction, ordered, seed=draw(32, "bayesian", seed, g, attempt))

    def _best(self, results: Iterable[Result]) -> list[Result]:
        """The best `BEST` results, among equals those of lower g."""
        sign = -1 if self._search.direction == "maximize" else 1
        valued = [(sign * value, result) for result in results if (value := _value(result)) is not None]
        ranked = sorted(valued, key=lambda entry: (entry[0], entry[1].g))
        return list(islice(self._within(result for _, result in ranked), BEST))

    def _latest(self, results: Iterable[Result]) -> list[Result]:
        """The `LATEST` results of the highest g, with a value or without."""
        return list(islice(self._within(sorted(results, key=attrgetter("g"), reverse=True)), LATEST))

    def _within(self, results: Iterable[Result]) -> Iterator[Result]:
        """Those within the space, spelled as it spells them; lazily, as checking all of a long session takes long."""
        for result in results:
            try:
                params = self._search.space.validate_point(result.params)
            except UsageError:
                continue
            yield Result(result.g, params, _value(result))


def _value(result: Result) -> float | None:
    """The value of a result, if it can be compared."""
    return result.value if result.value is not None and math.isfinite(result.value) else None
