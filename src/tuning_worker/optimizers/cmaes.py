"""CMA-ES: a normal distribution that moves, widens and turns towards what was good, replayed from the results.

Hansen & Ostermeier 2001, "Completely derandomized self-adaptation in evolution strategies"; by the package `cmaes`.
"""

from __future__ import annotations

import math
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from orchestrator.errors import UsageError
from tuning_worker.optimizers.known import within
from tuning_worker.optimizers.results_only import Once, ResultsOnly
from tuning_worker.optimizers.unit import from_shares, to_shares
from tuning_worker.space.dimensions import CategoricalDimension, FixedDimension
from tuning_worker.space.draws import draw, random_point

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tuning_worker.optimizers.protocol import Result, Search
    from tuning_worker.space.search_space import Point

_SIGMA = 0.25  # of each dimension's width: a normal distribution in its middle that reaches both ends
_POINT = 1e-4  # a generation within so little of every dimension has no more to tell
_BITS = 53
_ASKS = 100  # draws of a point until one meets the constraints

_Told = tuple[tuple[tuple[str, float], ...], float]
"""A result: its places on the dimensions, and its loss; an infinite one where it FAILED."""


class CmaesOptimizer(ResultsOnly):
    """The distribution that follows from the results so far, in order of g, and a draw of it that belongs to g.

    - Results are taken in generations of 4 + 3 ln(parameters), as they come by g; those of an incomplete generation
      wait. So no worker waits for another, and workers in step (`schedule: batch`) search as one does.
    - FAILED iterations rank last in their generation. Candidates under evaluation are not looked at.
    - When the distribution has shrunk to a point, it starts anew elsewhere with generations twice as large (Auger &
      Hansen 2005, "A restart CMA evolution strategy with increasing population size").
    - It searches numbers: an int is a float that is rounded, and categorical parameters are refused.
    """

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        dimensions = search.space.dimensions
        if len(search.directions) > 1:
            raise UsageError("cmaes searches for one objective: choose nsga2, bayesian or random for several")
        if texts := [name for name, each in dimensions.items() if isinstance(each, CategoricalDimension)]:
            raise UsageError(
                f"cmaes searches numbers only, not what is categorical ({', '.join(texts)}): choose bayesian or nsga2"
            )
        self._names = [name for name, each in dimensions.items() if not isinstance(each, FixedDimension)]
        self._told: list[_Told] = []  # by `_run`, which is only kept so that it need not be made anew each time
        self._run: _Run | None = None
        self._once = Once(self._tells)

    @override
    def _suggest(self, g: int, results: Sequence[Result], attempt: int) -> Point:
        space, seed = self._search.space, self._search.seed
        run = self._replayed(self._known(results))
        for place in islice(run.draws(draw(32, "cmaes", seed, g, attempt)), _ASKS if space.constraints else 1):
            point = from_shares(space, {**dict.fromkeys(space.dimensions, 0.5), **place})
            if space.is_allowed(point):
                return point
        return random_point(space, seed, g, attempt)

    def _replayed(self, known: Sequence[_Told]) -> _Run:
        if self._run is None or self._told != known[: len(self._told)]:
            self._told, self._run = [], _Run(self._names, self._search.seed)
        while generation := self._run.tell(known[len(self._told) :]):
            self._told += generation
        return self._run

    def _known(self, results: Sequence[Result]) -> list[_Told]:
        """What is to be told, in order of g."""
        told = map(self._once.of, sorted(results, key=attrgetter("g")))
        return [each for each in told if each is not None]

    def _tells(self, result: Result) -> _Told | None:
        for inside in within(self._search.space, [result]):
            losses = self._search.losses(inside)
            shares = to_shares(self._search.space, inside.params)
            return tuple(shares.items()), math.inf if losses is None else losses[0]
        return None


class _Run:
    """The distribution after some generations."""

    def __init__(self, names: Sequence[str], seed: int) -> None:
        self._names, self._seed = names, seed
        self._restarts = -1
        self._restart()

    def tell(self, known: Sequence[_Told]) -> Sequence[_Told]:
        """Take in the next generation; return it, or nothing where it is not complete."""
        generation = known[: self._cma.population_size]
        if len(generation) < self._cma.population_size:
            return ()
        ranks = {loss: float(rank) for rank, loss in enumerate(sorted({loss for _, loss in generation}))}
        centre = dict(zip(self._names, self._cma.mean, strict=True))  # where a parameter stays that is not active
        places = [{**centre, **dict(shares)} for shares, _ in generation]
        self._cma.tell(
            [
                (self._array([place[name] for name in self._names]), ranks[loss])
                for place, (_, loss) in zip(places, generation, strict=True)
            ]
        )
        spans = (max(column) - min(column) for column in zip(*(place.values() for place in places), strict=True))
        if self._cma.should_stop() or max(spans) < _POINT:
            self._restart()
        return generation

    def draws(self, seed: int) -> Iterator[dict[str, float]]:
        """Draws of the distribution: places from 0 to 1."""
        self._cma.reseed_rng(seed)
        while True:
            yield dict(zip(self._names, map(float, self._cma.ask()), strict=True))

    def _restart(self) -> None:
        from cmaes import CMA  # noqa: PLC0415 - NumPy is slow to import, and `check` never asks
        from numpy import array  # noqa: PLC0415 - as above

        self._restarts += 1
        self._array = array
        count = len(self._names)
        middle = [0.5] * count
        if self._restarts:
            middle = [draw(_BITS, "cmaes", self._seed, self._restarts, name) / 2**_BITS for name in self._names]
        population = (4 + int(3 * math.log(count))) * 2**self._restarts
        self._cma: Any = CMA(array(middle), _SIGMA, array([[0.0, 1.0]] * count), population_size=population, seed=0)
