"""Grid search: every point of the grid at most once, found by its number and never by writing the grid out."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from orchestrator.errors import UsageError
from tuning_worker.space.draws import permute

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.optimizers.protocol import Result, Search
    from tuning_worker.space.search_space import Params, Point


class GridOptimizer:
    """The grid's points by g: in order when all of them fit into the session, else a seeded selection.

    Points that would differ in parameters that are not active are one; points that break a constraint are none. A
    session with more iterations than the grid has points is refused: what to do with the rest is the user's choice.
    """

    learns: ClassVar[bool] = False
    unique: ClassVar[bool] = False

    def __init__(self, search: Search) -> None:
        self._seed = search.seed
        self._grid = search.space.grid(search.grid_points)
        self._size = self._grid.size
        if not self._size:
            raise UsageError(
                "no point of the grid meets the constraints: make the grid finer "
                f"(grid_points is {search.grid_points}), or choose another optimizer"
            )
        if search.total > self._size:
            points = "1 point" if self._size == 1 else f"{self._size} points"
            raise UsageError(
                f"the grid has {points} and total_iterations is {search.total}: set total_iterations to at most "
                f"{self._size}, or make the grid finer (grid_points is {search.grid_points})"
            )
        self._in_order = search.total == self._size

    def suggest(
        self,
        g: int,
        results: Sequence[Result],  # noqa: ARG002 - the face of every optimizer
        pending: Mapping[int, Params],  # noqa: ARG002 - the face of every optimizer
        attempt: int = 0,  # noqa: ARG002 - no other iteration has this point
    ) -> Point:
        """The point of g; no other g of the session has it."""
        return self._grid.point(g if self._in_order else permute(g, self._size, "grid", self._seed))
