"""The store's atomic writes as typed calls: each names one Lua script, its keys and its arguments, and reads its reply.

A call is plain data; whoever has a connection (asyncio or not) carries it out. Sending one again after a lost reply
is safe: every script knows what it has done.
"""

from __future__ import annotations

from orchestrator.store.calls.call import Call, dumps, no_session
from orchestrator.store.calls.iterations import (
    Beginning,
    Begun,
    Claim,
    Enough,
    Place,
    Record,
    Recorded,
    Taken,
    begin,
    claim,
    commit,
)
from orchestrator.store.calls.jobs import Moved, Transition, note, transition
from orchestrator.store.calls.looks import look
from orchestrator.store.calls.ownership import Adopted, Over, Owned, Renewed, adopt, fence, renew, serve, trouble
from orchestrator.store.calls.sessions import LARGE, Existing, send_ahead, submit
from orchestrator.store.calls.wishes import Cancellation, Cancelled, Retried, cancel, pause, pause_env, retry

__all__ = [
    "LARGE",
    "Adopted",
    "Beginning",
    "Begun",
    "Call",
    "Cancellation",
    "Cancelled",
    "Claim",
    "Enough",
    "Existing",
    "Moved",
    "Over",
    "Owned",
    "Place",
    "Record",
    "Recorded",
    "Renewed",
    "Retried",
    "Taken",
    "Transition",
    "adopt",
    "begin",
    "cancel",
    "claim",
    "commit",
    "dumps",
    "fence",
    "look",
    "no_session",
    "note",
    "pause",
    "pause_env",
    "renew",
    "retry",
    "send_ahead",
    "serve",
    "submit",
    "transition",
    "trouble",
]
