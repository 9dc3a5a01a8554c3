"""Which candidates an iteration may be evaluated with, in the order in which they are tried."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tuning_worker.optimizers import ASKS, suggest_in_round, unused_point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from tuning_worker.feed import Feed
    from tuning_worker.objectives.protocol import Params
    from tuning_worker.optimizers import Optimizer
    from tuning_worker.space.search_space import SearchSpace

Candidate = tuple["Params", str]
"""Parameters, and the point that is to be claimed for them: nothing where a repetition does not matter."""


@dataclass
class Candidates:
    """The candidates of a session, as one worker sees them.

    Attributes:
        workers: iterations of a round.
        batch: whether a round sees the rounds before it and nothing else.
        claims: whether every point is claimed, also one that the optimizer may repeat.
        enqueued: the points of g = 0, 1, …, which no optimizer decides.
        claimed: asked for all points that are claimed.
        on_repeat: called with g where no unused point is left.
    """

    optimizer: Optimizer
    space: SearchSpace
    seed: int
    workers: int
    batch: bool
    claims: bool
    enqueued: Sequence[Params]
    feed: Feed
    claimed: Callable[[], AbstractSet[str]]
    on_repeat: Callable[[int], None]

    @cached_property
    def _given(self) -> Mapping[int, Params]:
        return dict(enumerate(self.enqueued))

    @cached_property
    def _reserved(self) -> frozenset[str]:
        """The enqueued points, which are not to be suggested."""
        return frozenset(map(self.space.point_key, self.enqueued))

    @cached_property
    def _earlier(self) -> frozenset[str]:
        """The points of the session that this one goes on from."""
        return frozenset(self.space.point_key(result.params) for result in self.feed.prior)

    def of(self, g: int) -> Iterator[Candidate]:
        """Yield the candidates of g; each further one is for a point that turned out to be taken. The last never is."""
        if g < len(self.enqueued):
            yield self.enqueued[g], self.space.point_key(self.enqueued[g])
            yield self.enqueued[g], ""  # somebody wants it
        elif not self.optimizer.learns:
            params = self.optimizer.suggest(g, (), self._given)
            if self.optimizer.unique or self.claims:
                yield params, self.space.point_key(params)
            if self.optimizer.unique:
                self.on_repeat(g)
            yield params, ""
        elif self.batch:
            params = suggest_in_round(
                self.optimizer, self.space, self.seed, g, self.feed.results, workers=self.workers, given=self._given
            )
            yield params, self.space.point_key(params)
            self.on_repeat(g)
            yield params, ""  # the same: another one would depend on what has come in by now
        else:
            yield from self._learnt(g)
            yield from self._unused(g)
            self.on_repeat(g)
            yield self.optimizer.suggest(g, self.feed.results, {}), ""

    def _learnt(self, g: int) -> Iterator[Candidate]:
        pending = {**self._given, **self.feed.refresh()}
        for attempt in range(ASKS):
            params = self.optimizer.suggest(g, self.feed.results, pending, attempt)
            point = self.space.point_key(params)
            if point not in self._reserved and point not in self._earlier:
                yield params, point

    def _unused(self, g: int) -> Iterator[Candidate]:
        for avoided in (self._reserved | self._earlier, self._reserved) if self._earlier else (self._reserved,):
            used = self.claimed() | avoided
            while params := unused_point(self.space, self.seed, g, used.__contains__):
                yield params, self.space.point_key(params)
                used = self.claimed() | avoided
