"""Points as places in a unit cube: how optimizers that reckon with numbers see a space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuning_worker.space.exact import UNIFORM_BITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tuning_worker.space.search_space import Params, Point, SearchSpace

_END = 2**UNIFORM_BITS - 1


def to_shares(space: SearchSpace, point: Params) -> dict[str, float]:
    """Where each parameter of a point of the space lies on its dimension, from 0 to 1."""
    # A dimension's own values are what its `share` takes; mypy cannot tie the two through the union.
    return {name: space.dimensions[name].share(value) for name, value in point.items()}  # type: ignore[arg-type]


def from_shares(space: SearchSpace, shares: Mapping[str, float]) -> Point:
    """The point at these places; those of parameters that are not active are not looked at."""
    return space.make_point(
        lambda name, dimension: dimension.at_uniform(min(max(int(shares[name] * 2**UNIFORM_BITS), 0), _END))
    )
