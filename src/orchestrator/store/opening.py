"""Where the store is: the Redis that the settings name, else the embedded server, started where nobody has yet."""

from __future__ import annotations

from contextlib import contextmanager

from orchestrator.frozen import TYPE_CHECKING, frozen
from orchestrator.store.embedded import EmbeddedServer
from orchestrator.store.wire import check_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.settings import Settings


@frozen
class StoreAddress:
    """A store that may be used.

    Attributes:
        url: where it is.
        revive: starts the embedded server again where it died; None for a server that is not ours.
    """

    url: str
    revive: Callable[[], None] | None


@contextmanager
def open_store(settings: Settings) -> Iterator[StoreAddress]:
    """Hold the store open: while this lasts, nobody stops the embedded server.

    Raises:
        SettingError: the URL is one that is refused.
        StoreUnreachableError: the embedded server does not start.
        StateError: its data belongs to another server.
    """
    check_url(settings)
    if settings.redis_url is not None:
        yield StoreAddress(settings.redis_url, None)
        return
    server = EmbeddedServer(settings)
    url = server.acquire()
    try:
        yield StoreAddress(url, server.ensure_running)
    finally:
        server.release()
