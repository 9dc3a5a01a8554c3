"""Quasi-random search: points that fill the space more evenly than chance, the same for any workers and timing."""

from __future__ import annotations

from itertools import count, islice
from typing import TYPE_CHECKING, ClassVar

from orchestrator.errors import UsageError
from tuning_worker.optimizers.sobol import MAX_COORDINATES, scrambled
from tuning_worker.optimizers.unused import unused_point
from tuning_worker.space.dimensions import FixedDimension
from tuning_worker.space.draws import first_allowed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tuning_worker.optimizers.protocol import Result, Search
    from tuning_worker.space.search_space import Params, Point


_TRIES = 64
"""Points of the sequence that are looked at for one that is not used; beyond, a small space is nearly used up."""


class QmcOptimizer:
    """Point g of a scrambled Sobol sequence, so a longer session begins with the points of a shorter one.

    Every parameter that is searched has a coordinate, in the order of the file, whether it is active or not. Where a
    point breaks a constraint, point g of another scrambling takes its place, and so on. Totals that are powers of two
    fill the space most evenly. Where points can be counted, those of the sequence that were there before are left out,
    so that none comes twice while there is another.
    """

    learns: ClassVar[bool] = False
    unique: ClassVar[bool] = True

    def __init__(self, search: Search) -> None:
        self._search = search
        searched = [name for name, each in search.space.dimensions.items() if not isinstance(each, FixedDimension)]
        if len(searched) > MAX_COORDINATES:
            raise UsageError(
                f"qmc searches at most {MAX_COORDINATES} parameters, and these are {len(searched)}: "
                "fix some, or choose random or bayesian"
            )
        self._coordinates = {name: coordinate for coordinate, name in enumerate(searched)}
        self._is_countable = search.space.lattice() is not None
        self._given: Mapping[int, Params] = {}
        self._points: Iterator[Point] = iter(())  # from the first of `_before` on; kept so as not to be made anew
        self._before: list[Point] = []

    def suggest(
        self,
        g: int,
        results: Sequence[Result],  # noqa: ARG002 - the face of every optimizer
        pending: Mapping[int, Params],
        attempt: int = 0,  # noqa: ARG002 - the candidate of g is fixed
    ) -> Point:
        """The point of g; `pending` are those that nobody suggests (enqueued ones), which it does not repeat."""
        if not self._is_countable:
            return self._of_sequence(g)
        if self._given != pending or not self._before:
            self._given, self._before, self._points = dict(pending), [], self._distinct(pending)
        self._before.extend(islice(self._points, max(g + 1 - len(self._before), 0)))
        return self._before[g]

    def _distinct(self, given: Mapping[int, Params]) -> Iterator[Point]:
        """Yield the points of g = 0, 1, …: unused ones as long as there are some."""
        space = self._search.space
        used = {space.point_key(params) for params in given.values()}
        index = count()
        for g in count():
            if g in given:
                yield dict(given[g])
                continue
            tried = map(self._of_sequence, islice(index, _TRIES))
            point = next((each for each in tried if space.point_key(each) not in used), None)
            point = point or unused_point(space, self._search.seed, g, used.__contains__) or self._of_sequence(g)
            used.add(space.point_key(point))
            yield point

    def _of_sequence(self, index: int) -> Point:
        return first_allowed(self._search.space, lambda turn: self._point(index, turn))

    def _point(self, index: int, turn: int) -> Point:
        return self._search.space.make_point(
            lambda name, dimension: dimension.at_uniform(
                scrambled(index, self._coordinates[name], "qmc", self._search.seed, turn, name)
                if name in self._coordinates
                else 0
            )
        )
