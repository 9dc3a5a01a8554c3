"""What the worker's verbs share: the option that names the session, the store, and the answer."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.settings import load_settings
from orchestrator.store.blocking import BlockingStore
from orchestrator.store.keys import Keys
from orchestrator.store.opening import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping


def add_session(parser: argparse.ArgumentParser) -> None:
    """Declare `--session`."""
    parser.add_argument("--session", required=True, metavar="SESSION", help="the session's id")


@contextmanager
def opened_store() -> Iterator[BlockingStore]:
    """Connect to the store that the settings name, as `orch` would; a server that is away is an error at once.

    Raises:
        OrchError: there is none to connect to.
    """
    settings = load_settings(os.environ, Path.cwd())
    with open_store(settings) as address:
        store = BlockingStore(address.url, Keys(settings.env, settings.key_prefix), give_up=lambda: True)
        try:
            yield store
        finally:
            store.close()


def answer(document: Mapping[str, Any]) -> int:
    """Write the answer; return the exit code."""
    json.dump({"schema": 1, **document}, sys.stdout, allow_nan=False)
    return 0
