"""How a verb has the tuning worker answer for it: the worker knows objectives and numbers, and `orch` never imports it.

It runs in the session's interpreter, from the directory that the session was submitted in, as its jobs did.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.reading import open_place
from orchestrator.domain.session import restore_session
from orchestrator.errors import (
    NotFoundError,
    OrchError,
    StateError,
    StoreUnreachableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.settings import Settings

_ERRORS = {kind.exit_code: kind for kind in (UsageError, NotFoundError, StoreUnreachableError, StateError)}
_SAID = "tuning-worker: "


def ask_worker(session_id: str, settings: Settings, verb: str, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Run `tuning-worker VERB --session SESSION ARGUMENTS` and return the JSON object that it writes to stdout.

    Raises:
        NotFoundError: there is no such session.
        StateError: its iterations are not recorded, or its directory or its interpreter is gone.
        OrchError: what the worker says.
    """
    with open_place(settings) as (url, client):
        record = client.get_record(session_id)
        spec = restore_session(record["spec"])
        if spec.worker_command:
            raise StateError(f"session {session_id} runs a worker_command: it records no iterations")
        python = str(spec.python or settings.worker_python or sys.executable)
        where = {"ORCH_REDIS_URL": url, "ORCH_ENV": settings.env, "ORCH_KEY_PREFIX": settings.key_prefix}
        if not Path(record["cwd"]).is_dir():
            raise StateError(f"{record['cwd']}, where session {session_id} was submitted, is gone")
        try:
            done = subprocess.run(
                [python, "-P", "-m", "tuning_worker", verb, "--session", session_id, *arguments],
                cwd=record["cwd"], env={**os.environ, **spec.env_vars, **where}, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", check=False,
            )  # fmt: skip
        except OSError as error:
            raise StateError(f"{python}, which runs this session's workers, cannot be started: {error}") from error
    return read_answer(done, python)


def read_answer(done: subprocess.CompletedProcess[str], python: str) -> dict[str, Any]:
    """Read what the worker wrote; a sentence on stderr is the error that its exit code stands for."""
    if done.returncode == 0:
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise OrchError(f"{python}: tuning_worker is of another version, it answers {done.stdout[:80]!r}") from None
        return answer
    _, said, sentence = done.stderr.rpartition(_SAID)
    if said:
        raise _ERRORS.get(done.returncode, OrchError)(sentence.strip())
    last = done.stderr.strip().rpartition("\n")[2]
    raise OrchError(f"{python} cannot run tuning_worker: {last or f'it ended with {done.returncode}'}")
