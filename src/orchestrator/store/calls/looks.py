"""A look at the held-out days, which counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.store.calls.call import Call, dumps, no_session, script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.store.keys import Keys


def look(keys: Keys, session_id: str, held_out: str, results: Mapping[str, str]) -> Call[None]:
    """Record what was scored on the held-out days, and that somebody looked; a point that is recorded stays as it is.

    Args:
        keys: of the env.
        session_id: whose points.
        held_out: which days of which data they were scored on: looks are counted over all sessions by it.
        results: each point → its result, as texts.

    Raises (when read):
        NotFoundError: the session is gone.
    """

    def read(reply: list[Any]) -> None:
        if reply == ["missing"]:
            raise no_session(session_id)

    return Call(
        script("look"),
        (keys.session(session_id), keys.holdout(session_id), keys.looks),
        (held_out, dumps(dict(results))),
        read,
    )
