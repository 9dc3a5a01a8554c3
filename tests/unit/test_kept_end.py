"""The file that keeps an attempt's end while the store has not heard of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orchestrator.domain.outcome import Ended
from orchestrator.errors import FencedError, StoreUnreachableError
from orchestrator.supervisor.kept_end import KeptEnd

if TYPE_CHECKING:
    from pathlib import Path

ENDED = Ended(code=3, intent="interrupted")


@pytest.fixture
def kept(tmp_path: Path) -> KeptEnd:
    return KeptEnd(tmp_path / "logs" / "worker-1.end", 7)


async def test_an_end_that_the_store_hears_of_leaves_no_file(kept: KeptEnd) -> None:
    with kept.until_heard(ENDED, 1.5):
        while not kept.path.exists():  # a store that lets us wait
            await asyncio.sleep(0.01)
        assert kept.find() == (ENDED, 1.5)
    with kept.until_heard(ENDED, 1.5):
        pass  # one that does not
    assert not kept.path.exists()


@pytest.mark.parametrize("away", [StoreUnreachableError("away"), asyncio.CancelledError()])
async def test_an_end_that_the_store_did_not_hear_of_is_found_by_whoever_finds_that_attempt(
    kept: KeptEnd, away: BaseException
) -> None:
    with pytest.raises(type(away)), kept.until_heard(ENDED, 1.5):
        raise away
    assert kept.find() == (ENDED, 1.5)
    assert replace(kept, token=8).find() is None
    assert [path.name for path in kept.path.parent.iterdir()] == ["worker-1.end"]
    kept.remove()
    assert kept.find() is None


async def test_who_has_lost_the_job_keeps_nothing(kept: KeptEnd) -> None:
    with pytest.raises(StoreUnreachableError), kept.until_heard(ENDED, 1.5):
        raise StoreUnreachableError("away")
    with pytest.raises(FencedError), kept.until_heard(ENDED, 1.5):
        raise FencedError("somebody else's")
    assert not kept.path.exists()


async def test_a_disk_that_refuses_costs_the_file_only(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    kept = KeptEnd(tmp_path / "logs" / "worker-1.end", 7)
    with pytest.raises(StoreUnreachableError), kept.until_heard(ENDED, 1.5):
        raise StoreUnreachableError("away")
    assert kept.find() is None


def test_what_is_no_end_says_nothing(kept: KeptEnd) -> None:
    kept.path.parent.mkdir()
    kept.path.write_text("{")
    assert kept.find() is None
