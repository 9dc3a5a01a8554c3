"""The search space: named dimensions in the order of the file, and the points that they span."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from orchestrator.domain.shown import shown
from orchestrator.errors import UsageError
from tuning_worker.space.lattice import Lattice, TooManyCombinationsError
from tuning_worker.space.spelling import Scalar

if TYPE_CHECKING:
    from tuning_worker.space.constraints import Constraint
    from tuning_worker.space.dimensions import AnyDimension

Params: TypeAlias = Mapping[str, Scalar]
Point: TypeAlias = dict[str, Scalar]


@dataclass(frozen=True)
class SearchSpace:
    """The parameters that are searched and what each may be.

    Attributes:
        dimensions: by parameter name, in the order of the file.
        constraints: what must hold between the parameters of every point.
    """

    dimensions: Mapping[str, AnyDimension]
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimensions", MappingProxyType(dict(self.dimensions)))

    def make_point(self, choose: Callable[[str, AnyDimension], Scalar]) -> Point:
        """The point whose parameters, as far as they are active, are chosen one after another."""
        point: Point = {}
        for name, dimension in self.dimensions.items():
            if dimension.is_active(point):
                point[name] = choose(name, dimension)
        return point

    def is_allowed(self, point: Params) -> bool:
        """Whether a point of the dimensions meets the constraints."""
        return all(constraint.holds(point) for constraint in self.constraints)

    def lattice(self) -> Lattice | None:
        """All points, or None: a dimension is continuous, or too much is tied together to count them."""
        axes = {name: values for name, dimension in self.dimensions.items() if (values := dimension.values) is not None}
        if len(axes) < len(self.dimensions):
            return None
        lattice = Lattice(axes, self.dimensions, self.constraints)
        try:
            lattice.size  # noqa: B018 - counts
        except TooManyCombinationsError:
            return None
        return lattice

    def size(self) -> int | None:
        """How many points there are, or None where `lattice` is None."""
        lattice = self.lattice()
        return None if lattice is None else lattice.size

    def point(self, index: int) -> Point:
        """Point number `index` of a space that has a size; the last parameter changes fastest.

        Raises:
            ValueError: the space has no size.
            IndexError: the index is not in 0 … size-1.
        """
        lattice = self.lattice()
        if lattice is None:
            raise ValueError("the points of a continuous space have no numbers")
        return lattice.point(index)

    def grid(self, grid_points: int) -> Lattice:
        """The grid: every choice, and at most `grid_points` values of each number (both bounds are among them).

        A number that has no more than `grid_points` values, because it is a small int or has a `step`, gives all of
        them; a larger one is thinned to evenly spaced values that lie on its steps. Rounding merges equal values.
        Values that are not active are not varied, and points that break a constraint are left out.
        """
        axes = {name: dimension.grid(grid_points) for name, dimension in self.dimensions.items()}
        return Lattice(axes, self.dimensions, self.constraints)

    def extremes(self) -> Mapping[str, tuple[Scalar, ...]]:
        """Return of each parameter the values between which all others are: its bounds, or all of its choices."""
        return {name: dimension.extremes for name, dimension in self.dimensions.items()}

    def complete(self, params: Params) -> Params:
        """Return a point that a user wrote, with what is fixed wherever the user left it out."""
        point = dict(params)
        for name, dimension in self.dimensions.items():
            if name not in point and dimension.type == "fixed" and dimension.is_active(point):
                point[name] = dimension.value
        return point

    def validate_point(self, params: Params) -> Point:
        """The same point as this space spells it: its order, ints as int, floats as float, choices as in the file.

        Raises:
            UsageError: a parameter is missing, unknown, outside or not active; all such problems in one sentence
                each, or else every constraint that it breaks.
        """
        problems = [f"{name} is no parameter of this search space" for name in params if name not in self.dimensions]
        point: Point = {}
        for name, dimension in self.dimensions.items():
            is_active = dimension.is_active(point)
            if name not in params:
                problems += [f"{name} is missing"] if is_active else []
                continue
            try:
                point[name] = dimension.normalise(params[name])
            except ValueError as error:
                problems.append(f"{name}: {shown(params[name])} {error}")
            if not is_active:
                problems.append(f"{name} is only there when {dimension.described_when()}")
        if not problems:
            problems = [_broken(constraint, point) for constraint in self.constraints if not constraint.holds(point)]
        if problems:
            raise UsageError("; ".join(problems))
        return point

    def point_key(self, params: Params) -> str:
        """One text for one point (canonical JSON), whatever the order or spelling of its parameters: what is claimed.

        Raises:
            UsageError: as `validate_point`.
        """
        return json.dumps(self.validate_point(params), sort_keys=True, separators=(",", ":"))


def _broken(constraint: Constraint, point: Params) -> str:
    values = ", ".join(f"{name} is {shown(value)}" for name, value in point.items() if name in constraint.names)
    return f"{constraint.text} does not hold: {values}"
