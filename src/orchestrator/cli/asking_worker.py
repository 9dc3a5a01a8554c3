"""How a verb has the tuning worker answer for it: the worker knows objectives and numbers, and `orch` never imports it.

What is to be evaluated is evaluated in place: by the session's interpreter, in the directory that the session was
submitted in, as by its jobs. What follows from the records needs nothing of the user's: our own interpreter is fed the
records on its standard input, so it works where interpreter, directory or data are gone, and can look at nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.reading import open_client, open_place
from orchestrator.domain.session import restore_session
from orchestrator.domain.snapshot import job_json
from orchestrator.errors import (
    NotFoundError,
    OrchError,
    StateError,
    StoreUnreachableError,
    UsageError,
)
from orchestrator.looking import is_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchestrator.client import Client
    from orchestrator.settings import Settings

_ERRORS = {kind.exit_code: kind for kind in (UsageError, NotFoundError, StoreUnreachableError, StateError)}
_SAID = "tuning-worker: "


def ask_in_place(session_id: str, settings: Settings, verb: str, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Run `tuning-worker VERB --session SESSION ARGUMENTS` as a job of the session; return the JSON that it answers.

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
        if not is_folder(Path(record["cwd"])):
            raise StateError(f"{record['cwd']}, where session {session_id} was submitted, is gone")
        try:
            done = subprocess.run(
                [python, "-P", "-m", "tuning_worker", verb, "--session", session_id, *arguments],
                cwd=record["cwd"], env={**os.environ, **spec.env_vars, **where}, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", check=False,
            )  # fmt: skip
        except OSError as error:
            raise StateError(f"{python}, which runs this session's workers, cannot be started: {error}") from error
    return _answer(done, python)


def ask_of_records(session_id: str, settings: Settings, verb: str, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Run `tuning-worker VERB ARGUMENTS`, which reads the session on its stdin; return the JSON that it answers.

    Raises:
        NotFoundError: there is no such session.
        StoreUnreachableError: the store does not answer.
        OrchError: what the worker says.
    """
    with open_client(settings) as client:
        lines = _recorded_lines(client, session_id)
        head = next(lines)  # whether there is such a session is known before anything is started
        return _handed_over([sys.executable, "-P", "-m", "tuning_worker", verb, *arguments], head, lines)


def _recorded_lines(client: Client, session_id: str) -> Iterator[str]:
    """Yield a JSON line of the session (`session`, `jobs` and more), one of each iteration, and one that says `end`.

    The session's env_vars are not among them: they are never shown.

    Raises:
        NotFoundError: there is no such session.
    """
    record = client.get_record(session_id)
    spec = json.loads(record["spec"])
    spec.pop("env_vars", None)
    jobs = [job_json(job) for job in client.get_session(session_id).jobs]
    more = {"tried_before": client.count_tried_before(session_id), "holdout": client.get_holdout(session_id)}
    yield json.dumps({"session": {**record, "spec": json.dumps(spec)}, "jobs": jobs, **more})
    for iteration in client.iter_iterations(session_id, record["mode"]):
        yield json.dumps(iteration)
    yield json.dumps({"end": True})


def _handed_over(argv: Sequence[str], head: str, lines: Iterable[str]) -> dict[str, Any]:
    with tempfile.TemporaryFile("w+", errors="replace") as said:  # a pipe of its own might fill while we write
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True) as child:
            assert child.stdin and child.stdout  # noqa: S101, PT018 - they are pipes
            with suppress(BrokenPipeError), child.stdin:  # it has refused already, and says why
                child.stdin.write(f"{head}\n")
                child.stdin.writelines(f"{line}\n" for line in lines)
            answer = child.stdout.read()
        said.seek(0)
        done = subprocess.CompletedProcess(argv, child.returncode, answer, said.read())
    return _answer(done, argv[0])


def _answer(done: subprocess.CompletedProcess[str], python: str) -> dict[str, Any]:
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
