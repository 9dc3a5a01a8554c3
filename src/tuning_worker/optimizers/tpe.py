"""TPE, the tree-structured Parzen estimator: draw where good points are dense, and take where bad ones are rare.

Bergstra et al. 2011, "Algorithms for hyper-parameter optimization". It is what Optuna has under this name but for what
several workers need, who all ask with the same knowledge and lack each other's results: more draws for each candidate,
narrower kernels around the good points and wider ones around the rest (`benchmarks/search` measures it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tuning_worker.optimizers.parzen import Parzen, Places
from tuning_worker.space.dimensions import CategoricalDimension, FixedDimension
from tuning_worker.space.exact import UNIFORM_BITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tuning_worker.optimizers.parzen import Floats
    from tuning_worker.space.dimensions import AnyDimension, FloatDimension, IntDimension
    from tuning_worker.space.search_space import Params, Point, SearchSpace
    from tuning_worker.space.spelling import Scalar

    Searched: TypeAlias = FloatDimension | IntDimension | CategoricalDimension

DRAWS = 64
"""Candidates drawn among the good points, of which the best is taken."""
GOOD_WIDTH, BAD_WIDTH = 0.8, 1.5
"""The least widths of kernels, in multiples of Optuna's."""
ASKS = 8
"""How often it is drawn anew until a candidate meets the constraints."""
_END = 2**UNIFORM_BITS - 1


def suggest(space: SearchSpace, good: Sequence[Params], bad: Sequence[Params], *, seed: int) -> Point | None:
    """The candidate that TPE proposes, or None: of `ASKS` times `DRAWS` draws none meets the constraints.

    Parameters that every point has are drawn together; one with a condition alone, among the points that have it.

    Args:
        space: where to search.
        good: the best points of the space.
        bad: the others that are known.
        seed: in [0, 2**32).
    """
    rng = np.random.RandomState(seed)  # unlike its successor it promises the same numbers in every version of NumPy
    searched = {name: each for name, each in space.dimensions.items() if not isinstance(each, FixedDimension)}
    together = {name: each for name, each in searched.items() if each.when is None}
    for _ in range(ASKS):
        for drawn in _candidates(together, good, bad, rng):

            def choose(name: str, dimension: AnyDimension, drawn: Params = drawn) -> Scalar:
                if name in drawn:
                    return drawn[name]
                if isinstance(dimension, FixedDimension):
                    return dimension.value
                return next(_candidates({name: dimension}, good, bad, rng))[name]

            point = space.make_point(choose)
            if space.is_allowed(point):
                return point
    return None


def _candidates(
    axes: Mapping[str, Searched], good: Sequence[Params], bad: Sequence[Params], rng: np.random.RandomState
) -> Iterator[Params]:
    """Values of the parameters on these axes, drawn among the good points that have them all, the best first."""
    choices = [len(each.choices) if isinstance(each, CategoricalDimension) else 0 for each in axes.values()]

    def estimate(points: Sequence[Params], width: float) -> Parzen:
        having = [point for point in points if axes.keys() <= point.keys()]
        at = [[_place(each, point[name]) for name, each in axes.items()] for point in having]
        return Parzen(choices, np.reshape(at, (len(having), len(axes))).astype(float), width=width)

    among, beside = estimate(good, GOOD_WIDTH), estimate(bad, BAD_WIDTH)
    drawn = among.draw(rng, DRAWS)
    places = _on_steps(axes, drawn)
    gain = among.log_density(places) - beside.log_density(places)
    for candidate in np.argsort(-gain, kind="stable"):
        yield {name: _value(each, at) for (name, each), at in zip(axes.items(), drawn[candidate], strict=True)}


def _on_steps(axes: Mapping[str, Searched], drawn: Floats) -> Places:
    """Where the values are that were drawn, on axes of steps in their middles."""
    at, size = drawn.copy(), np.zeros_like(drawn)
    for axis, dimension in enumerate(axes.values()):
        if dimension.values is not None and not isinstance(dimension, CategoricalDimension):
            values: list[Any] = [_value(dimension, place) for place in drawn[:, axis]]
            at[:, axis] = [dimension.share(value) for value in values]
            size[:, axis] = [dimension.width(value) for value in values]
    return Places(at, size)


def _place(dimension: Searched, value: Any) -> float:
    """Where a value is on its axis, as `Places.at`."""
    return dimension.position(value) if isinstance(dimension, CategoricalDimension) else dimension.share(value)


def _value(dimension: Searched, at: float) -> Scalar:
    if isinstance(dimension, CategoricalDimension):
        return dimension.choices[int(at)]
    return dimension.at_uniform(min(int(at * 2**UNIFORM_BITS), _END))
