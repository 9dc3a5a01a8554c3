"""Which candidates an iteration may be evaluated with, in the order in which they are tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tuning_worker.optimizers import suggest_in_round, unused_point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from tuning_worker.feed import Feed
    from tuning_worker.objectives.protocol import Params
    from tuning_worker.optimizers import Optimizer
    from tuning_worker.space import SearchSpace

_ASKS: Final = 8
"""How often a learning optimizer is asked again when its candidate is taken, before an unused one is drawn."""

Candidate = tuple["Params", str]
"""Parameters, and the point that is to be claimed for them: nothing where a repetition does not matter."""


@dataclass(slots=True)
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
    _reserved: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._reserved = frozenset(self.space.point_key(params) for params in self.enqueued)

    def of(self, g: int) -> Iterator[Candidate]:
        """Yield the candidates of g; each further one is for a point that turned out to be taken. The last never is."""
        if g < len(self.enqueued):
            yield self.enqueued[g], self.space.point_key(self.enqueued[g])
            yield self.enqueued[g], ""  # somebody wants it
        elif not self.optimizer.learns:
            params = self.optimizer.suggest(g, (), {})
            if self.claims:
                yield params, self.space.point_key(params)
            yield params, ""
        else:
            yield from self._learnt(g)
            yield from self._unused(g)
            self.on_repeat(g)
            yield self.optimizer.suggest(g, self.feed.results, {}), ""

    def _learnt(self, g: int) -> Iterator[Candidate]:
        if self.batch:
            given = dict(enumerate(self.enqueued))
            params: Params = suggest_in_round(
                self.optimizer, self.space, self.seed, g, self.feed.results, workers=self.workers, given=given
            )
            yield params, self.space.point_key(params)
            return
        pending = {**dict(enumerate(self.enqueued)), **self.feed.refresh()}
        for attempt in range(_ASKS):
            params = self.optimizer.suggest(g, self.feed.results, pending, attempt)
            point = self.space.point_key(params)
            if point not in self._reserved:
                yield params, point

    def _unused(self, g: int) -> Iterator[Candidate]:
        while True:
            used = self.claimed() | self._reserved
            params = unused_point(self.space, self.seed, g, used.__contains__)
            if params is None:
                return
            yield params, self.space.point_key(params)
