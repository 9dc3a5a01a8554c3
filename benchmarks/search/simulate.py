"""A session of several workers in one process: the worker's own pure functions, and evaluations that last a while.

Time is virtual. An evaluation lasts an exponential time that follows from (seed, g), so the same session can be
simulated again, and workers are out of step as they are in life.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

from tuning_worker.optimizers import Result, suggest_in_round, unused_point
from tuning_worker.space.draws import draw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tuning_worker.optimizers import Optimizer
    from tuning_worker.space.search_space import Params, Point, SearchSpace

_ASKS = 8  # as in the worker
_BITS = 53


def simulate_async(
    optimizer: Optimizer,
    space: SearchSpace,
    value: Callable[[Mapping[str, object]], float | None],
    *,
    workers: int,
    total: int,
    seed: int,
) -> list[float | None]:
    """The values of a session whose workers never wait, in the order in which they came."""
    results: list[Result] = []
    pending: dict[int, Params] = {}
    used: set[str] = set()
    ends = [(0.0, worker - workers, worker) for worker in range(min(workers, total))]  # when free, its last g, worker
    heapq.heapify(ends)
    while ends:
        now, last, worker = heapq.heappop(ends)
        if last in pending:
            params = pending.pop(last)
            results.append(Result(last, params, value(params)))
        g = last + workers
        if g < total:
            point = _claim(optimizer, space, seed, g, results, pending, used)
            used.add(space.point_key(point))
            pending[g] = point
            heapq.heappush(ends, (now + _duration(seed, g), g, worker))
    return [result.value for result in results]


def simulate_batch(
    optimizer: Optimizer,
    space: SearchSpace,
    value: Callable[[Mapping[str, object]], float | None],
    *,
    workers: int,
    total: int,
    seed: int,
) -> list[float | None]:
    """The values of a session whose workers wait for each other, by g."""
    results: list[Result] = []
    for first in range(0, total, workers):
        this_round = range(first, min(first + workers, total))
        points: dict[int, Params] = {}
        for g in this_round:  # `given`: what the earlier ones are, as computed; a worker computes it for itself
            points[g] = suggest_in_round(optimizer, space, seed, g, results, workers=workers, given=points)
        results += [Result(g, points[g], value(points[g])) for g in this_round]
    return [result.value for result in results]


def _claim(
    optimizer: Optimizer,
    space: SearchSpace,
    seed: int,
    g: int,
    results: list[Result],
    pending: Mapping[int, Params],
    used: set[str],
) -> Point:
    for attempt in range(_ASKS):
        point = optimizer.suggest(g, results, pending, attempt)
        if not optimizer.unique or space.point_key(point) not in used:
            return point
    return unused_point(space, seed, g, used.__contains__) or optimizer.suggest(g, results, {}, 0)


def _duration(seed: int, g: int) -> float:
    return -math.log((draw(_BITS, "duration", seed, g) + 1) / 2**_BITS)
