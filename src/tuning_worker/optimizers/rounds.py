"""`schedule: batch`: candidates that depend on the results of earlier rounds alone, and so never on timing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from tuning_worker.optimizers.protocol import ASKS
from tuning_worker.optimizers.unused import unused_point

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tuning_worker.optimizers.protocol import Optimizer, Result
    from tuning_worker.space.search_space import Params, Point, SearchSpace


def round_start(g: int, workers: int) -> int:
    """The first g of the round of g: round r is r * workers … (r + 1) * workers - 1. All g below it are known."""
    return g - g % workers


def suggest_in_round(
    optimizer: Optimizer,
    space: SearchSpace,
    seed: int,
    g: int,
    results: Sequence[Result],
    *,
    workers: int,
    given: Mapping[int, Params] | None = None,
) -> Point:
    """The candidate of g from the results of the rounds before its own: the same for any order, timing and retry.

    The candidates of lower g of the same round are computed in turn, by every worker for itself, and shown as
    pending. What is proposed differs from every result and from those, as long as there is such a point, so a claim
    that is made for it in the store never finds it taken.

    Args:
        optimizer: made for this session.
        space: the optimizer's.
        seed: the session's.
        g: the iteration's global index.
        results: what is finished, in any order; those of this round and later ones are not looked at.
        workers: how many iterations a round has.
        given: points that nobody had to suggest, by their g (enqueued ones); those of later rounds are kept free.
    """
    first = round_start(g, workers)
    if not optimizer.learns:
        return optimizer.suggest(g, (), {})
    known = [result for result in results if result.g < first]
    given = given or {}
    used = _keys(space, (*(result.params for result in known), *given.values()))
    candidates: dict[int, Params] = {}
    for index in range(first, g):
        candidates[index] = given.get(index) or _free_point(optimizer, space, seed, index, known, candidates, used)
        used |= _keys(space, [candidates[index]])
    return _free_point(optimizer, space, seed, g, known, candidates, used)


def _free_point(
    optimizer: Optimizer,
    space: SearchSpace,
    seed: int,
    g: int,
    known: Sequence[Result],
    pending: Mapping[int, Params],
    used: set[str],
) -> Point:
    """A candidate that is not used; where none is left, one that is."""
    candidate = optimizer.suggest(g, known, pending)
    if space.point_key(candidate) not in used:
        return candidate
    for attempt in range(1, ASKS):
        another = optimizer.suggest(g, known, pending, attempt)
        if space.point_key(another) not in used:
            return another
    return unused_point(space, seed, g, used.__contains__) or candidate


def _keys(space: SearchSpace, points: Iterable[Params]) -> set[str]:
    """The keys of those that lie within the space."""
    keys = set()
    for point in points:
        try:
            keys.add(space.point_key(point))
        except UsageError:
            continue
    return keys
