"""The search space: named dimensions in the order of the file, and the points that they span."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from orchestrator.domain.shown import shown
from orchestrator.errors import UsageError
from tuning_worker.dimensions import AnyDimension, Scalar, Values

Params: TypeAlias = Mapping[str, Scalar]
Point: TypeAlias = dict[str, Scalar]


@dataclass(frozen=True, slots=True)
class Lattice:
    """The product of a few values for each parameter, addressed by number and never written out.

    Point 0 has the first value of each; the last parameter changes fastest, as in `itertools.product`.
    """

    axes: Mapping[str, Values]

    @property
    def size(self) -> int:
        """How many points there are; an int of any length."""
        return math.prod(len(values) for values in self.axes.values())

    def point(self, index: int) -> Point:
        """The point of this number (its mixed-radix digits are positions on the axes).

        Raises:
            IndexError: it is not in 0 … size-1.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"there is no point {index} among {self.size}")
        digits: list[int] = []
        for values in reversed(list(self.axes.values())):
            index, digit = divmod(index, len(values))
            digits.append(digit)
        return {name: values[digit] for (name, values), digit in zip(self.axes.items(), reversed(digits), strict=True)}


@dataclass(frozen=True)
class SearchSpace:
    """The parameters that are searched and what each may be.

    Attributes:
        dimensions: by parameter name, in the order of the file.
    """

    dimensions: Mapping[str, AnyDimension]

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimensions", MappingProxyType(dict(self.dimensions)))

    def lattice(self) -> Lattice | None:
        """All points, or None where a dimension is continuous."""
        axes = {name: values for name, dimension in self.dimensions.items() if (values := dimension.values) is not None}
        return Lattice(axes) if len(axes) == len(self.dimensions) else None

    def size(self) -> int | None:
        """How many points there are, or None where a dimension is continuous."""
        lattice = self.lattice()
        return None if lattice is None else lattice.size

    def point(self, index: int) -> Point:
        """Point number `index` of a space that has a size; the last parameter changes fastest.

        Raises:
            ValueError: a dimension is continuous.
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
        """
        return Lattice({name: dimension.grid(grid_points) for name, dimension in self.dimensions.items()})

    def validate_point(self, params: Params) -> Point:
        """The same point as this space spells it: its order, ints as int, floats as float, choices as in the file.

        Raises:
            UsageError: a parameter is missing, unknown or outside; all such problems in one sentence each.
        """
        problems = [f"{name} is no parameter of this search space" for name in params if name not in self.dimensions]
        point: Point = {}
        for name, dimension in self.dimensions.items():
            if name not in params:
                problems.append(f"{name} is missing")
                continue
            try:
                point[name] = dimension.normalise(params[name])
            except ValueError as error:
                problems.append(f"{name}: {shown(params[name])} {error}")
        if problems:
            raise UsageError("; ".join(problems))
        return point

    def point_key(self, params: Params) -> str:
        """One text for one point (canonical JSON), whatever the order or spelling of its parameters: what is claimed.

        Raises:
            UsageError: as `validate_point`.
        """
        return json.dumps(self.validate_point(params), sort_keys=True, separators=(",", ":"))
