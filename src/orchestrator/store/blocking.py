"""The worker's connection to the store: blocking, patient, and safe to interrupt.

While the server is away every call waits for it: each is safe to send again (see `calls`), so nothing is lost and
nothing doubled. `give_up` is asked meanwhile whether waiting still makes sense.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from orchestrator.errors import OrchError, StoreUnreachableError
from orchestrator.store.refusals import is_temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.store.calls import Call
    from orchestrator.store.keys import Keys

T = TypeVar("T")

_PAUSE = timedelta(milliseconds=200)
_AWAY = (RedisConnectionError, RedisTimeoutError, OSError)


class BlockingStore:
    """The durable facts, for a process without an event loop.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        keys: of the env.
        give_up: returns True when waiting for an absent server should end.
        on_away: called once each time the server is found to be away.
        revive: brings a dead embedded server back, where that is this process's to do.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        give_up: Callable[[], bool] = lambda: False,
        on_away: Callable[[str], None] = lambda _: None,
        revive: Callable[[], None] | None = None,
    ) -> None:
        self.keys = keys
        self._give_up = give_up
        self._on_away = on_away
        self._revive = revive
        self._client = redis.Redis.from_url(
            url, decode_responses=True, retry=Retry(NoBackoff(), 0), socket_timeout=10, socket_connect_timeout=5
        )

    def do(self, call: Call[T]) -> T:
        """Carry out an atomic write.

        Raises:
            OrchError: what the call's reading of the reply says.
            StoreUnreachableError: the server is away, and `give_up` said so.
        """
        command = ("EVALSHA", call.script.sha, str(len(call.keys)), *call.keys, *call.args)
        try:
            reply = self.read(*command)
        except NoScriptError:  # both at once, as the server may die and come back without its scripts in between
            _, reply = self.read_all([("SCRIPT", "LOAD", call.script.text), command])
        return call.read(reply)

    def read(self, *command: str | int) -> Any:
        """Send one plain command."""
        return self.read_all([command])[0]

    def read_all(self, commands: Sequence[Sequence[str | int]]) -> list[Any]:
        """Send plain commands in one round trip; return their replies in order."""
        away = False
        while True:
            try:
                pipeline = self._client.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
                return pipeline.execute()
            except _AWAY as error:
                away = self._wait(error, away=away)
            except RedisError as error:
                if isinstance(error, NoScriptError):
                    raise
                if not is_temporary(error):
                    raise StoreUnreachableError(f"the store refuses: {error}") from error
                away = self._wait(error, away=away)

    def _wait(self, error: Exception, *, away: bool) -> bool:
        if not away:
            self._on_away(str(error))
        if self._give_up():
            raise StoreUnreachableError(f"the store does not answer: {error}") from error
        if self._revive:
            with suppress(OrchError):  # it is tried once more soon
                self._revive()
        time.sleep(_PAUSE.total_seconds())
        return True

    def close(self) -> None:
        """Disconnect."""
        self._client.close()
