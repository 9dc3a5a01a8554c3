"""A look at the held-out days, which counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.store.calls.call import Call, dumps, no_session, script

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.store.keys import Keys


def look(keys: Keys, session_id: str, held_out: Sequence[str], results: Mapping[str, str]) -> Call[None]:
    """Record what was scored on the held-out days, and that somebody looked; a point that is recorded stays as it is.

    Args:
        keys: of the env.
        session_id: whose points.
        held_out: the held-out days of its data, each by all its names: by them all sessions' looks are counted.
        results: each point → its result, as texts.

    Raises (when read):
        NotFoundError: the session is gone.
    """

    def read(reply: list[Any]) -> None:
        if reply == ["missing"]:
            raise no_session(session_id)

    return Call(
        script("look"),
        (keys.session(session_id), keys.holdout(session_id), keys.looks, keys.scored),
        (dumps(list(held_out)), dumps(dict(results))),
        read,
    )
