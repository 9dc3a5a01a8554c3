"""Finitely many points, addressed by number and never written out, also where some of the product are no points."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tuning_worker.space.constraints import Constraint
    from tuning_worker.space.dimensions import AnyDimension, Values
    from tuning_worker.space.spelling import Scalar

MAX_COMBINATIONS = 200_000
"""Combinations that are looked at one by one: seconds. It bounds neither the points nor the product."""

_State: TypeAlias = "tuple[int | None, ...]"
"""Of each parameter that is kept the position of its value, or None where it is not active."""


class TooManyCombinationsError(UsageError):
    """The points cannot be counted in reasonable time."""


@dataclass(frozen=True, slots=True)
class _Level:
    """One parameter, and what it means for those after it.

    Attributes:
        matters: whether a condition or constraint that is decided here or later looks at it.
        decided: the constraints of which it is the last parameter.
        kept: the parameters up to it, itself included, at which something later looks.
        places: where those stand among the ones that the level above keeps, followed by itself.
    """

    name: str
    dimension: AnyDimension
    values: Values
    matters: bool
    decided: tuple[Constraint, ...]
    kept: tuple[str, ...]
    places: tuple[int, ...]

    def keep(self, state: _State) -> _State:
        """What later levels look at, of the state above and this level's own position."""
        return tuple(state[place] for place in self.places)


@dataclass
class Lattice:
    """The points that a few values for each parameter make.

    A parameter that is not active is not there, so points that would differ in it alone are one. Points that break a
    constraint are none. Point 0 has the first value of each; the last parameter changes fastest, as in
    `itertools.product`. Where nothing depends on a parameter its values are not walked through: only the parameters
    that conditions and constraints name are, and only in the combinations that something later looks at.

    Raises:
        TooManyCombinationsError: by `size` and `point`: these combinations are more than `MAX_COMBINATIONS`.
    """

    axes: Mapping[str, Values]
    dimensions: Mapping[str, AnyDimension]
    constraints: Sequence[Constraint] = ()
    _levels: list[_Level] = field(init=False, repr=False)
    _sums: dict[tuple[int, _State], list[int]] = field(default_factory=dict, init=False, repr=False)
    _looked_at: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        self._levels = list(self._make_levels())

    @property
    def size(self) -> int:
        """How many points there are; an int of any length."""
        try:
            return self._count(0, ())
        except RecursionError:  # hundreds of parameters in one chain
            raise _too_many() from None

    def point(self, index: int) -> dict[str, Scalar]:
        """The point of this number.

        Raises:
            IndexError: it is not in 0 … size-1.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"there is no point {index} among {self.size}")
        point: dict[str, Scalar] = {}
        state: _State = ()
        for depth, level in enumerate(self._levels):
            digit = None
            if level.dimension.is_active(point):
                digit, index = self._find(depth, state, index)
                point[level.name] = level.values[digit]
            state = level.keep((*state, digit))
        return point

    def _make_levels(self) -> Iterator[_Level]:
        depths = {name: depth for depth, name in enumerate(self.axes)}
        last = {constraint: max(depths[name] for name in constraint.names) for constraint in self.constraints}
        until = dict.fromkeys(self.axes, -1)  # the last level that looks at a parameter
        looks = [(depth, constraint.names) for constraint, depth in last.items()]
        looks += [(depth, frozenset(self.dimensions[name].when or ())) for name, depth in depths.items()]
        for depth, names in looks:
            until |= {name: max(until[name], depth) for name in names}
        above: tuple[str, ...] = ()
        for name, depth in depths.items():
            here = (*above, name)
            kept = tuple(each for each in here if until[each] > depth)
            decided = tuple(constraint for constraint in self.constraints if last[constraint] == depth)
            places = tuple(map(here.index, kept))
            yield _Level(name, self.dimensions[name], self.axes[name], until[name] >= depth, decided, kept, places)
            above = kept

    def _above(self, depth: int, state: _State) -> dict[str, Scalar]:
        """The parameters above this level that are there and at which it or a later one looks."""
        kept = self._levels[depth - 1].kept if depth else ()
        return {name: self.axes[name][digit] for name, digit in zip(kept, state, strict=True) if digit is not None}

    def _count(self, depth: int, state: _State) -> int:
        """How many points there are from this level on, given what is above it."""
        factor = 1
        while depth < len(self._levels):
            level = self._levels[depth]
            is_active = level.dimension.is_active(self._above(depth, state))
            if is_active and level.matters:
                if (depth, state) not in self._sums:
                    self._sums[depth, state] = self._summed(depth, state)
                return factor * self._sums[depth, state][-1]
            factor *= len(level.values) if is_active else 1
            depth, state = depth + 1, level.keep((*state, None))
        return factor

    def _summed(self, depth: int, state: _State) -> list[int]:
        """How many points there are with the first value of this level, with the first two, and so on."""
        level, above = self._levels[depth], self._above(depth, state)
        self._looked_at += len(level.values)
        if self._looked_at > MAX_COMBINATIONS:
            raise _too_many()
        counts = []
        for digit in range(len(level.values)):
            point = {**above, level.name: level.values[digit]}
            is_allowed = all(constraint.holds(point) for constraint in level.decided)
            counts.append(self._count(depth + 1, level.keep((*state, digit))) if is_allowed else 0)
        return list(accumulate(counts))

    def _find(self, depth: int, state: _State, index: int) -> tuple[int, int]:
        """The position of an active parameter's value in the point of this number, and the number below it."""
        level = self._levels[depth]
        if not level.matters:
            return divmod(index, self._count(depth, state) // len(level.values))
        sums = self._sums[depth, state]
        digit = bisect_right(sums, index)
        return digit, index - (sums[digit - 1] if digit else 0)


def _too_many() -> TooManyCombinationsError:
    return TooManyCombinationsError(
        f"conditions and constraints tie more than {MAX_COMBINATIONS:,} combinations of values together: "
        "give those parameters fewer values (a wider step, fewer grid_points)"
    )
