"""Slots are shared fairly."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.supervisor.slots import Claim, FairSemaphore, choose

claims = st.lists(
    st.builds(Claim, session_id=st.sampled_from("abc"), priority=st.integers(-2, 2), order=st.integers(0, 99)),
    min_size=1,
)


@given(claims, st.dictionaries(st.sampled_from("abc"), st.integers(0, 5)))
def test_nobody_is_passed_over_by_one_who_has_more(waiting: list[Claim], held: dict[str, int]) -> None:
    chosen = choose(waiting, held)
    assert all(chosen.priority >= other.priority for other in waiting)
    equals = [claim for claim in waiting if claim.priority == chosen.priority]
    assert all(held.get(chosen.session_id, 0) <= held.get(other.session_id, 0) for other in equals)


async def test_a_short_session_does_not_wait_for_a_long_one() -> None:
    slots = FairSemaphore(2)
    started: list[str] = []

    async def job(session: str) -> None:
        await slots.acquire(session)
        started.append(session)
        await asyncio.sleep(0)
        slots.release(session)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(job("long"))
        await asyncio.sleep(0)
        for _ in range(2):
            tasks.create_task(job("short"))
    assert [index for index, name in enumerate(started) if name == "short"][-1] < 8
    assert not slots.held


async def test_priority_goes_first() -> None:
    slots = FairSemaphore(1)
    await slots.acquire("holder")
    order: list[int] = []

    async def job(priority: int) -> None:
        await slots.acquire(f"s{priority}", priority)
        order.append(priority)
        slots.release(f"s{priority}")

    async with asyncio.TaskGroup() as tasks:
        for priority in (0, 5, -1, 3):
            tasks.create_task(job(priority))
        await asyncio.sleep(0)
        slots.release("holder")
    assert order == [5, 3, 0, -1]


async def test_it_grows_and_shrinks() -> None:
    slots = FairSemaphore(1)
    await slots.acquire("s")
    async with asyncio.TaskGroup() as tasks:
        second = tasks.create_task(slots.acquire("s"))
        await asyncio.sleep(0)
        assert not second.done()
        slots.resize(2)
    slots.resize(1)
    assert slots.free == -1
    slots.release("s")
    assert slots.free == 0


async def test_one_who_gives_up_in_the_turn_of_the_grant_loses_no_slot() -> None:
    slots = FairSemaphore(1)
    await slots.acquire("a")
    async with asyncio.TaskGroup() as tasks:
        doomed = tasks.create_task(slots.acquire("b"))
        await asyncio.sleep(0)
        slots.release("a")
        doomed.cancel()
    assert slots.free == 1
    assert slots.held == Counter()


async def test_several_at_once_are_given_together_and_nobody_slips_past() -> None:
    slots = FairSemaphore(3)
    await slots.acquire("a")
    order: list[str] = []

    async def job(session: str, count: int) -> None:
        await slots.acquire(session, count=count)
        order.append(session)
        assert slots.held[session] == count
        slots.release(session, count)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(job("batch", 3))
        await asyncio.sleep(0)
        tasks.create_task(job("later", 1))
        impossible = tasks.create_task(job("impossible", 4))
        await asyncio.sleep(0)
        assert order == []  # two slots are free, and kept for the batch
        slots.release("a")
        while len(order) < 2:
            await asyncio.sleep(0)
        impossible.cancel()
    assert order == ["batch", "later"]
    assert not slots.held


async def test_a_batch_that_is_cancelled_as_it_is_given_its_slots_gives_them_back() -> None:
    slots = FairSemaphore(2)
    await slots.acquire("a", count=2)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(slots.acquire("batch", count=2))
        await asyncio.sleep(0)
        slots.release("a", 2)
        waiting.cancel()
    assert slots.free == 2
