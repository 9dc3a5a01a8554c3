"""How a verb stays with a session: a store that goes away is waited for, and its user is told what is waited for."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.cli.progress import Waiting, say
from orchestrator.cli.reading import connected, has_data
from orchestrator.client import Client
from orchestrator.errors import NotFoundError
from orchestrator.follow import PatientWire, wait_for_end
from orchestrator.store.keys import Keys
from orchestrator.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.domain.snapshot import SessionSnapshot
    from orchestrator.settings import Settings
    from orchestrator.store.opening import StoreAddress


def say_away(why: str) -> None:
    """Say that the store is away."""
    say(f"{why}; waiting for it")


def say_back() -> None:
    """Say that it is there again."""
    say("the store answers again")


@dataclass(frozen=True, slots=True)
class Patient:
    """A client that waits for a store that is away, and its connection."""

    client: Client
    wire: PatientWire

    def wait(self, session_id: str) -> SessionSnapshot:
        """Wait for a session's end, and say what it waits for; return how it ended, without its jobs.

        Raises:
            NotFoundError: there is no such session, or not any more.
            OutOfTimeError: the deadline has passed.
        """
        return wait_for_end(self.client, self.wire, session_id, Waiting().tell)


@contextmanager
def stay(
    settings: Settings,
    deadline: float | None = None,
    on_away: Callable[[str], None] = say_away,
    on_back: Callable[[], None] = say_back,
) -> Iterator[Patient]:
    """Connect to the store for as long as it takes. Only the first connection has to succeed at once.

    Args:
        settings: say where it is.
        deadline: on the monotonic clock, seconds, after which waiting ends; None for never.
        on_away: called with a sentence when the store is found to be away.
        on_back: called when it answers again.

    Raises:
        NotFoundError: nothing was ever recorded here.
        StoreUnreachableError: it does not answer.
        StateError: another version of the program wrote it.
    """
    if not has_data(settings):
        raise NotFoundError(f"there is no session: nothing has been run with the state directory {settings.state_dir}")
    with open_store(settings) as address, stay_at(address, settings, deadline, on_away, on_back) as patient:
        yield patient


@contextmanager
def stay_at(
    address: StoreAddress,
    settings: Settings,
    deadline: float | None = None,
    on_away: Callable[[str], None] = say_away,
    on_back: Callable[[], None] = say_back,
) -> Iterator[Patient]:
    """Connect to a store that is held open already; as `stay`."""
    with connected(address.url, settings):
        pass
    with PatientWire(address, on_away, on_back, deadline) as wire:
        yield Patient(Client(wire, Keys(settings.env, settings.key_prefix)), wire)
