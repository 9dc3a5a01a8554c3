"""Quasi-random search: points that fill the space more evenly than chance, the same for any workers and timing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from orchestrator.errors import UsageError
from tuning_worker.dimensions import FixedDimension
from tuning_worker.optimizers.draws import first_allowed
from tuning_worker.optimizers.sobol import MAX_COORDINATES, scrambled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.optimizers.protocol import Result, Search
    from tuning_worker.space import Params, Point


class QmcOptimizer:
    """Point g of a scrambled Sobol sequence, so a longer session begins with the points of a shorter one.

    Every parameter that is searched has a coordinate, in the order of the file, whether it is active or not. Where a
    point breaks a constraint, point g of another scrambling takes its place, and so on. Totals that are powers of two
    fill the space most evenly.
    """

    learns: ClassVar[bool] = False
    unique: ClassVar[bool] = False

    def __init__(self, search: Search) -> None:
        self._search = search
        searched = [name for name, each in search.space.dimensions.items() if not isinstance(each, FixedDimension)]
        if len(searched) > MAX_COORDINATES:
            raise UsageError(
                f"qmc searches at most {MAX_COORDINATES} parameters, and these are {len(searched)}: "
                "fix some, or choose random or bayesian"
            )
        self._coordinates = {name: coordinate for coordinate, name in enumerate(searched)}

    def suggest(
        self,
        g: int,
        results: Sequence[Result],  # noqa: ARG002 - the face of every optimizer
        pending: Mapping[int, Params],  # noqa: ARG002 - the face of every optimizer
        attempt: int = 0,  # noqa: ARG002 - the candidate of g is fixed
    ) -> Point:
        """The point of g; in a small space it may repeat an earlier one."""
        return first_allowed(self._search.space, lambda turn: self._point(g, turn))

    def _point(self, g: int, turn: int) -> Point:
        return self._search.space.make_point(
            lambda name, dimension: dimension.at_uniform(
                scrambled(g, self._coordinates[name], "qmc", self._search.seed, turn, name)
                if name in self._coordinates
                else 0
            )
        )
