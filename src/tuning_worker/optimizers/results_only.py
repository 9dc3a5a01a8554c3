"""Optimizers for which only results count: what is under evaluation changes nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tuning_worker.optimizers.protocol import Result, Search
    from tuning_worker.space.search_space import Params, Point

T = TypeVar("T")


class ResultsOnly(ABC):
    """What such an optimizer has in common with the others: see `protocol.Optimizer`."""

    learns: ClassVar[bool] = True
    unique: ClassVar[bool] = True

    def __init__(self, search: Search) -> None:
        self._search = search

    def suggest(self, g: int, results: Sequence[Result], pending: Mapping[int, Params], attempt: int = 0) -> Point:
        """The candidate of g given what is known; another one for each `attempt`."""
        del pending
        return self._suggest(g, results, attempt)

    @abstractmethod
    def _suggest(self, g: int, results: Sequence[Result], attempt: int) -> Point: ...


class Once(Generic[T]):
    """What follows from one result and nothing else, made once for each: a session has many, and each is new once.

    Args:
        make: a pure function.
    """

    def __init__(self, make: Callable[[Result], T]) -> None:
        self._make = make
        self._made: dict[int, tuple[Result, T]] = {}

    def of(self, result: Result) -> T:
        """Return what `make` makes of a result."""
        kept = self._made.get(result.g)
        # The very same one: results that are equal may differ, as True and 1 do.
        if kept is None or kept[0] is not result:
            kept = self._made[result.g] = (result, self._make(result))
        return kept[1]
