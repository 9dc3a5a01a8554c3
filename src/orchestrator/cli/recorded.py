"""How a verb hands all that is recorded of a session to the worker's side, which makes a file of it.

Unlike what `worker_verb` asks for, this needs nothing of the user's: it runs in our own interpreter and reads its
standard input, so it works where the session's interpreter, directory or data are gone, and can look at nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orchestrator.cli.reading import open_client
from orchestrator.cli.worker_verb import read_answer
from orchestrator.domain.snapshot import job_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchestrator.client import Client
    from orchestrator.settings import Settings


def make_file(session_id: str, settings: Settings, verb: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run `tuning-worker VERB ARGUMENTS`, which reads the session on its stdin; return the JSON that it answers.

    Raises:
        NotFoundError: there is no such session.
        StoreUnreachableError: the store does not answer.
        OrchError: what the worker says.
    """
    with open_client(settings) as client:
        lines = recorded_lines(client, session_id)
        head = next(lines)  # whether there is such a session is known before anything is started
        return _handed_over([sys.executable, "-P", "-m", "tuning_worker", verb, *arguments], head, lines)


def recorded_lines(client: Client, session_id: str) -> Iterator[str]:
    """Yield a JSON line of the session (`session`, `jobs`, `holdout`), one of each iteration, and one that says `end`.

    The session's env_vars are not among them: they are never shown.

    Raises:
        NotFoundError: there is no such session.
    """
    record = client.get_record(session_id)
    spec = json.loads(record["spec"])
    spec.pop("env_vars", None)
    jobs = [job_json(job) for job in client.get_session(session_id).jobs]
    holdout = client.get_holdout(session_id)
    yield json.dumps({"session": {**record, "spec": json.dumps(spec)}, "jobs": jobs, "holdout": holdout})
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
    return read_answer(done, argv[0])
