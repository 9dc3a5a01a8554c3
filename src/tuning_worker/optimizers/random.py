"""Random search: candidate g is a uniform point fixed by (seed, g), so workers, timing and retries change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tuning_worker.space.draws import random_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.optimizers.protocol import Result, Search
    from tuning_worker.space.search_space import Params, Point


class RandomOptimizer:
    """Independent uniform points; a value depends on (seed, g, its parameter's name) and on no other parameter."""

    learns: ClassVar[bool] = False
    unique: ClassVar[bool] = False

    def __init__(self, search: Search) -> None:
        self._search = search

    def suggest(
        self,
        g: int,
        results: Sequence[Result],  # noqa: ARG002 - the face of every optimizer
        pending: Mapping[int, Params],  # noqa: ARG002 - the face of every optimizer
        attempt: int = 0,  # noqa: ARG002 - a repeated point is evaluated again: the candidate of g is fixed
    ) -> Point:
        """The point of g; it may repeat an earlier one of a small space."""
        return random_point(self._search.space, self._search.seed, g)
