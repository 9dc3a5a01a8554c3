"""What is wrong between the parts of a search space: conditions, constraints, and whether any point meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from orchestrator.domain.complaints import nearest
from orchestrator.domain.shown import shown
from orchestrator.errors import UsageError
from tuning_worker.space.constraints import Kind, parse_constraint
from tuning_worker.space.dimensions import CategoricalDimension, FixedDimension, IntDimension
from tuning_worker.space.draws import draw
from tuning_worker.space.exact import UNIFORM_BITS
from tuning_worker.space.search_space import SearchSpace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tuning_worker.space.dimensions import AnyDimension
    from tuning_worker.space.spelling import Scalar

SAMPLES = 20_000
"""Random points that are tried before constraints are said to allow none."""

_Path: TypeAlias = tuple[str | int, ...]


def make_space(dimensions: Mapping[str, AnyDimension], constraints: Sequence[str]) -> SearchSpace:
    """The search space of a tuning config.

    Raises:
        UsageError: the parts do not fit together.
    """
    problems = list(find_problems(dimensions, constraints))
    if problems:
        raise UsageError("; ".join(sentence for _, sentence in problems))
    return SearchSpace(dimensions, tuple(parse_constraint(text, _kinds(dimensions)) for text in constraints))


def find_problems(dimensions: Mapping[str, AnyDimension], constraints: Sequence[str]) -> Iterator[tuple[_Path, str]]:
    """What does not fit together: the keys that lead to it below `tuning`, and a sentence."""
    if all(isinstance(dimension, FixedDimension) for dimension in dimensions.values()):
        yield ("search_space",), "has fixed values only: there is nothing to search"
    for name, dimension in dimensions.items():
        for other, values in (dimension.when or {}).items():
            for sentence in _condition_problems(dimensions, name, other, values):
                yield ("search_space", name, "when", other), sentence
    for place, text in enumerate(constraints):
        try:
            parse_constraint(text, _kinds(dimensions))
        except ValueError as error:
            yield ("constraints", place), f"{error}"


def is_satisfiable(space: SearchSpace) -> bool:
    """Whether a point that meets the constraints is found: one of `SAMPLES` random points, or of a countable space."""
    if not space.constraints:
        return True
    for g in range(SAMPLES):
        point = space.make_point(lambda name, each: each.at_uniform(draw(UNIFORM_BITS, "sample", g, name)))  # noqa: B023 - called at once
        if space.is_allowed(point):
            return True
    return bool(space.size())


def _condition_problems(
    dimensions: Mapping[str, AnyDimension], name: str, other: str, values: Sequence[Scalar]
) -> Iterator[str]:
    above = list(dimensions)[: list(dimensions).index(name)]
    if other not in above:
        meant = nearest(other, above)
        hint = f"did you mean {meant!r}?" if meant else f"there are above it: {', '.join(above) or 'none'}"
        yield f"{other} is no parameter above {name}; {hint}"
        return
    decides = dimensions[other]
    if not isinstance(decides, CategoricalDimension | IntDimension | FixedDimension):
        yield f"{other} is a float: only a categorical or an int can be a condition"
        return
    for value in values:
        try:
            decides.normalise(value)
        except ValueError as error:
            yield f"{shown(value)} {error}, so {name} would never be there for it"


def _kinds(dimensions: Mapping[str, AnyDimension]) -> dict[str, Kind]:
    return {name: _kind(dimension) for name, dimension in dimensions.items()}


def _kind(dimension: AnyDimension) -> Kind:
    if not isinstance(dimension, CategoricalDimension | FixedDimension):
        return "number"
    kinds: set[Kind] = {
        "truth" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
        for value in dimension.values
    }
    return kinds.pop() if len(kinds) == 1 else "mixed"
