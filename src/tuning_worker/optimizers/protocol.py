"""What an optimizer is: a pure function from what is known to the next candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.space.search_space import Params, Point, SearchSpace

Direction: TypeAlias = Literal["maximize", "minimize"]

ASKS: Final = 8
"""How often an optimizer is asked for a point that is free, before an unused one is drawn."""


@dataclass(frozen=True, slots=True)
class Result:
    """A finished iteration.

    Attributes:
        g: its global index in the session, from 0; that of a result of an earlier session is negative.
        params: what was evaluated.
        value: the (first) objective's value, or None where the iteration FAILED.
        values: all of them, where there are several objectives.
    """

    g: int
    params: Params
    value: float | None
    values: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """What an optimizer is built from: all that stays the same throughout a session.

    Attributes:
        space: where to search.
        seed: the session's, at least 0.
        directions: which values of each objective are better; one optimizes all of several at once.
        grid_points: values of each float or int dimension on a grid.
        total: the session's iterations.
    """

    space: SearchSpace
    seed: int
    directions: tuple[Direction, ...]
    grid_points: int
    total: int

    def losses(self, result: Result) -> tuple[float, ...] | None:
        """What a result lost in each objective (less is better), or None: it failed or cannot be compared."""
        if result.value is None:
            return None
        values = (result.value,) if len(self.directions) == 1 else result.values or ()
        if len(values) != len(self.directions) or not all(map(math.isfinite, values)):
            return None
        return tuple(
            -value if direction == "maximize" else value
            for value, direction in zip(values, self.directions, strict=True)
        )


class Optimizer(Protocol):
    """One way to search.

    Attributes:
        learns: whether `suggest` looks at results and at what is being evaluated; where False, `results` may be empty,
            and `pending` has only the points that nobody suggests (enqueued ones).
        unique: whether a candidate is claimed before its evaluation, as no point is to be evaluated twice. False for
            grid, whose candidates differ by construction, and for random, whose repeats are its own.
    """

    learns: ClassVar[bool]
    unique: ClassVar[bool]

    def __init__(self, search: Search) -> None:
        """Take what stays the same; raise `UsageError` where it cannot be searched in this way."""
        ...

    def suggest(self, g: int, results: Sequence[Result], pending: Mapping[int, Params], attempt: int = 0) -> Point:
        """The candidate of iteration g: a pure function of the search and of these arguments.

        Args:
            g: the iteration's global index, 0 … total-1.
            results: what is finished, in any order (the order never matters), each g once.
            pending: what other iterations are being evaluated with, by their g.
            attempt: 0, or how many candidates for this g were found to be taken.
        """
        ...
