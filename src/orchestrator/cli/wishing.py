"""How a verb that wants something of the store says so, and is acknowledged."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.cli.progress import say
from orchestrator.cli.reading import open_client
from orchestrator.clock import utc_now
from orchestrator.wishes import Durability, Wishes, user_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.client import Client
    from orchestrator.domain.snapshot import SessionSnapshot
    from orchestrator.settings import Settings


@contextmanager
def open_wishes(settings: Settings) -> Iterator[Wishes]:
    """Connect to the store in order to change what is wanted.

    Raises:
        NotFoundError: nothing was ever recorded here.
        StoreUnreachableError: it does not answer.
        StateError: another version of the program wrote it.
    """
    with open_client(settings) as client:
        yield wishes_of(client, settings)


def wishes_of(client: Client, settings: Settings) -> Wishes:
    """Return what this user may want through a client."""
    return Wishes(client, utc_now, user_name(), settings.retention)


def acknowledge(wishes: Wishes) -> Durability:
    """Wait until what was wanted is durable, and say so where it cannot be.

    Raises:
        StoreUnreachableError: the server does not confirm it.
    """
    durability = wishes.make_durable()
    if durability is Durability.MEMORY:
        say("the store keeps no append-only file: if its server dies, this is forgotten (`orch doctor`)")
    return durability


def warn_unserved(snapshot: SessionSnapshot, what: str, run: str = "orch run FILE") -> None:
    """Say that what is wanted of a session will wait, where nobody is there to see to it.

    Args:
        snapshot: of the session.
        what: does not happen until somebody is.
        run: the command that runs the session in the foreground, where its file is known.
    """
    if snapshot.unserved:
        say(f"no daemon serves env {snapshot.env}: {what} until `orch daemon` or `{run}` runs")
