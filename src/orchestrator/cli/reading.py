"""How a verb that only asks finds the store; a server of our own is started for that moment where it has data."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path

from orchestrator.client import Client
from orchestrator.errors import NotFoundError
from orchestrator.frozen import TYPE_CHECKING
from orchestrator.settings import load_settings
from orchestrator.store.embedded import data_exists
from orchestrator.store.keys import Keys
from orchestrator.store.opening import open_store
from orchestrator.store.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.settings import Settings


def settings_here(env: str | None = None) -> Settings:
    """Return the settings in force; `env` is what the command line says, if it does."""
    return load_settings(os.environ, Path.cwd(), {"env": env})


def has_data(settings: Settings) -> bool:
    """Tell whether there is a store to ask: one that is elsewhere always counts."""
    return settings.redis_url is not None or data_exists(settings)


@contextmanager
def open_client(settings: Settings) -> Iterator[Client]:
    """Connect to the store.

    Raises:
        NotFoundError: nothing was ever recorded here.
        StoreUnreachableError: it does not answer.
        StateError: another version of the program wrote it.
    """
    with open_place(settings) as (_, client):
        yield client


@contextmanager
def open_place(settings: Settings) -> Iterator[tuple[str, Client]]:
    """Connect to the store as `open_client` does; yield its URL too, for a program that is to use it meanwhile."""
    if not has_data(settings):
        raise NotFoundError(f"there is no session: nothing has been run with the state directory {settings.state_dir}")
    with open_store(settings) as address, connected(address.url, settings) as client:
        yield address.url, client


@contextmanager
def connected(url: str, settings: Settings) -> Iterator[Client]:
    """Connect to a store that is known to run.

    Raises:
        StoreUnreachableError, StateError: as `open_client`.
    """
    with Wire.connect(url) as wire:
        client = Client(wire, Keys(settings.env, settings.key_prefix))
        client.check_schema()
        yield client
