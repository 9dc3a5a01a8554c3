"""Whether the best point is a plateau or a needle: what the points evaluated around it are worth.

A parameter set that was fitted to noise is a peak that its neighbours do not share; one that works keeps most of its
value when the parameters move a little (Pardo 2008, "The Evaluation and Optimization of Trading Strategies", 2nd ed.,
on the robustness of an optimum; López de Prado 2018, "Advances in Financial Machine Learning", chapter 11).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Coordinates: TypeAlias = "Mapping[str, float | str | bool]"
"""A point by parameter: numbers from 0 to 1 over their bounds; texts and bools as choices, which are equal or not."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A point near the best.

    Attributes:
        g: its iteration.
        distance: to the best, 0 to 1 (1 from one corner of the space to the opposite one).
        value: the objective's.
        kept: the share of the best's value that it keeps.
    """

    g: int
    distance: float
    value: float
    kept: float


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The points nearest to the best.

    Attributes:
        kept: the median share of the best's value that they keep: 1 on a plateau, 0 or less beside a needle.
        worst: the least share that one of them keeps.
        neighbours: nearest first.
    """

    kept: float
    worst: float
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A point and its value."""

    g: int
    point: Coordinates
    value: float


def find_neighbourhood(
    best: Evaluated, others: Sequence[Evaluated], direction: Literal["maximize", "minimize"], nearest: int
) -> Neighbourhood | None:
    """Compare the best with the points nearest to it; of equal distances the one dealt first.

    The share that a neighbour keeps is its value / the best's where more is better, else the best's / its.

    Args:
        best: the best.
        others: the rest; a point that is the best's, or is there twice, counts once.
        direction: what the best is the best in.
        nearest: how many to compare with.

    Returns:
        None where a share makes no sense (the best is not above 0) or there are not so many others.
    """
    apart: dict[tuple[tuple[str, float | str | bool], ...], tuple[float, Evaluated]] = {}
    for other in sorted(others, key=lambda each: each.g):
        distance = _distance(best.point, other.point)
        if distance > 0:
            apart.setdefault(tuple(sorted(other.point.items())), (distance, other))
    near = sorted(apart.values(), key=lambda each: (each[0], each[1].g))[:nearest]
    if best.value <= 0 or len(near) < nearest or not near:
        return None
    neighbours = tuple(
        Neighbour(other.g, distance, other.value, _kept(best.value, other.value, direction)) for distance, other in near
    )
    shares = [neighbour.kept for neighbour in neighbours]
    return Neighbourhood(median(shares), min(shares), neighbours)


def _kept(best: float, value: float, direction: Literal["maximize", "minimize"]) -> float:
    return value / best if direction == "maximize" else best / value


def _distance(one: Coordinates, other: Coordinates) -> float:
    """Return the Euclidean distance over the space's diagonal; what only one of them has is as far as can be."""
    names = one.keys() | other.keys()
    square = sum(_gap(one.get(name), other.get(name)) ** 2 for name in names) / len(names)
    return round(math.sqrt(square), 12)  # so that what is as far to either side is equally far


def _gap(one: float | str | bool | None, other: float | str | bool | None) -> float:  # noqa: FBT001 - a parameter's value
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other)
    return float(one != other or type(one) is not type(other))
