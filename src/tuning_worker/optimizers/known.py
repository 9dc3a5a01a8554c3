"""What an optimizer takes from results: those within its space, and which are better than others."""

from __future__ import annotations

from heapq import heapify, heappop
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING

from orchestrator.domain.fronts import dominates
from orchestrator.errors import UsageError
from tuning_worker.optimizers.protocol import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tuning_worker.optimizers.protocol import Search
    from tuning_worker.space.search_space import SearchSpace

Valued = tuple[tuple[float, ...], Result]
"""The losses of a result (less is better), and the result."""


def within(space: SearchSpace, results: Iterable[Result], known: Iterable[Result] = ()) -> Iterator[Result]:
    """Those within the space, spelled as it spells them; lazily, as checking all of a long session takes long.

    Args:
        space: the optimizer's.
        results: to be checked.
        known: what came out of this function before, and is not checked again.
    """
    checked = {result.g: result for result in known}
    for result in results:
        if result.g in checked:
            yield checked[result.g]
            continue
        try:
            params = space.validate_point(result.params)
        except UsageError:
            continue
        yield Result(result.g, params, result.value, result.values)


def find_best(search: Search, results: Iterable[Result], count: int) -> list[Result]:
    """The best results within the space, at most so many, the best first."""
    valued = [(losses, result) for result in results if (losses := search.losses(result)) is not None]
    return list(islice(within(search.space, ranked(valued)), count))


def find_latest(search: Search, results: Iterable[Result], best: Sequence[Result], count: int) -> list[Result]:
    """Of the latest results within the space, so many by g, those that are not among the best, the latest first."""
    latest = islice(within(search.space, sorted(results, key=attrgetter("g"), reverse=True), best), count)
    shown = {result.g for result in best}
    return [result for result in latest if result.g not in shown]


def ranked(valued: Sequence[Valued]) -> Iterator[Result]:
    """The best first; among equals those of lower g.

    With several objectives the fronts follow each other: those that no other one beats, those that none of the rest
    beats, and so on; within a front those that stand apart come first.
    """
    if all(len(losses) == 1 for losses, _ in valued):
        heap = [(losses, result.g, result) for losses, result in valued]
        heapify(heap)  # not sorted: hardly ever are all of them wanted
        while heap:
            yield heappop(heap)[2]
        return
    for front in fronts(valued):
        yield from (result for _, result in front)


def fronts(valued: Sequence[Valued]) -> Iterator[list[Valued]]:
    """The fronts of non-dominated results, best first, each sorted: those in the least crowded places first.

    Crowding as in NSGA-II (Deb et al. 2002, "A fast and elitist multiobjective genetic algorithm"); the ends of a
    front are never crowded.
    """
    rest = sorted(valued, key=_losses_then_g)
    while rest:
        front, beaten = _split(rest)
        distance = _distances(front)
        yield sorted(front, key=lambda each: (-distance[each[1].g], each[1].g))
        rest = beaten


def _split(rest: Sequence[Valued]) -> tuple[list[Valued], list[Valued]]:
    """Sorted results into those that no other one beats, and the others, both sorted."""
    front: list[Valued] = []
    beaten: list[Valued] = []
    for each in rest:  # what comes later cannot beat what came before
        is_beaten = any(dominates(other[0], each[0]) for other in front)
        (beaten if is_beaten else front).append(each)
    return front, beaten


def _distances(front: Sequence[Valued]) -> dict[int, float]:
    """How far apart the neighbours of each result are on its front, over all objectives, by g."""
    distance = {result.g: 0.0 for _, result in front}
    for objective in range(len(front[0][0])):
        row = sorted(front, key=lambda each: (each[0][objective], each[1].g))
        span = row[-1][0][objective] / 2 - row[0][0][objective] / 2  # halves: their difference is finite
        distance[row[0][1].g] = distance[row[-1][1].g] = float("inf")
        if span > 0:
            for below, each, above in zip(row, row[1:], row[2:], strict=False):
                distance[each[1].g] += (above[0][objective] / 2 - below[0][objective] / 2) / span
    return distance


def _losses_then_g(each: Valued) -> tuple[tuple[float, ...], int]:
    return each[0], each[1].g
