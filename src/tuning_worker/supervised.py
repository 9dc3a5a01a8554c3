"""A worker that a supervisor started: what it has to do stands in the store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.clock import utc_now
from orchestrator.errors import FencedError, StateError
from orchestrator.store.blocking import BlockingStore
from orchestrator.store.keys import Keys
from tuning_worker.run import Say, Worker, set_verdict
from tuning_worker.share import find_share

if TYPE_CHECKING:
    from collections.abc import Callable


def run(stop: Callable[[], bool], say: Say) -> int:
    """Work through the share that the environment names; return the exit code."""
    env = os.environ
    store = BlockingStore(
        env["ORCH_REDIS_URL"],
        Keys(env["ORCH_ENV"], env["ORCH_KEY_PREFIX"]),
        give_up=stop,
        on_away=lambda why: say("store.away", error=why),
    )
    share = find_share(store, env["ORCH_SESSION_ID"], env["ORCH_JOB_ID"], int(env["ORCH_TOKEN"]))
    try:
        return Worker(store, share, utc_now, stop, say).run()
    except FencedError:
        raise  # another attempt runs: its verdict is not this one's to give
    except StateError as error:
        set_verdict(store, share, str(error))
        raise
    finally:
        store.close()
