"""Which candidates a worker tries, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tuning_worker.candidates import Candidates
from tuning_worker.feed import Feed
from tuning_worker.optimizers import Result, make_optimizer
from tuning_worker.space.dimensions import IntDimension
from tuning_worker.space.search_space import SearchSpace

if TYPE_CHECKING:
    from orchestrator.store.blocking import BlockingStore

SPACE = SearchSpace({"n": IntDimension(type="int", bounds=(1, 4))})
NO_STORE = cast("BlockingStore", None)
"""A batch decides by what has been taken in already."""


def candidates_of(g: int, results: list[Result]) -> list[Any]:
    repeated: list[int] = []
    made = Candidates(
        make_optimizer("bayesian", SPACE, seed=3, direction="minimize", grid_points=3, total=30),
        SPACE,
        seed=3,
        workers=3,
        batch=True,
        claims=True,
        enqueued=(),
        feed=Feed(NO_STORE, "s", "worker-1", by_g={result.g: result for result in results}),
        claimed=set,
        on_repeat=repeated.append,
    )
    found = list(made.of(g))
    assert repeated == [g]
    return found


def test_a_batch_that_has_no_unused_point_left_does_not_look_at_its_own_round() -> None:
    earlier = [Result(g, {"n": g % 4 + 1}, float(g)) for g in range(9)]
    for g in (9, 10, 11):
        early = candidates_of(g, earlier)
        for value in (-10.0, None, 50.0):
            meanwhile = [Result(of, {"n": 4}, value) for of in (9, 10, 11) if of != g]
            assert candidates_of(g, [*earlier, *meanwhile]) == early
        assert [point for _, point in early] == [SPACE.point_key(early[0][0]), ""]
