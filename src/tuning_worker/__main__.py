"""`tuning-worker`: the program inside a job, started by a supervisor or by hand; and some verbs of its own."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchestrator.clock import iso, utc_now
from orchestrator.domain.optimizers import SHIPPED
from orchestrator.domain.outcome import WorkerExit
from orchestrator.domain.shown import shown
from orchestrator.errors import FencedError, OrchError, SpecError, StateError, StoreUnreachableError
from tuning_worker.lifeline import StopFlag, die_with_parent

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = {
    "check": "tuning_worker.check",
    "export": "tuning_worker.reporting.export",
    "holdout": "tuning_worker.verbs.holdout",
    "import": "tuning_worker.market.feeds.importing",
    "inspect": "tuning_worker.market.feeds.inspecting",
    "judge": "tuning_worker.verbs.judge",
    "replay": "tuning_worker.verbs.replay",
    "report": "tuning_worker.reporting.report",
    "synth": "tuning_worker.market.synth",
}
"""Each verb's module, imported when it is called: it has `ABOUT`, `add_arguments(parser)` and `run(options)`."""

_ABOUT = (
    f"Evaluate one worker's iterations of a session. (Also: {', '.join(f'tuning-worker {verb}' for verb in VERBS)}.)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code (`outcome.WorkerExit`)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] and given[0] in VERBS:
        return _answer(given[0], given[1:])
    options = _parser("", _ABOUT, _add_arguments).parse_args(given)
    return _told(lambda: _work(options))


def _answer(name: str, arguments: Sequence[str]) -> int:
    """Run a verb; its exit codes are those of `orch`, which asks for it."""
    verb = import_module(VERBS[name])
    try:
        code = int(verb.run(_parser(name, verb.ABOUT, verb.add_arguments).parse_args(arguments)))
        sys.stdout.flush()
    except OrchError as error:
        return _fail(error, error.exit_code)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains of stdout once more as it ends
        if isinstance(error, BrokenPipeError):
            return 1
        where = error.filename or "stdout cannot be written"  # of a file that it opens a verb itself says what is wrong
        return _fail(OrchError(f"{where}: {error.strerror}"), 1)
    return code


def _parser(verb: str, about: str, add: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"tuning-worker {verb}".strip(), description=about)
    add(parser)
    return parser


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session-id", required=True)
    parser.add_argument("--worker-id", required=True, type=_worker_id, help="worker-1, worker-2, …")
    parser.add_argument("--config", required=True, help="the tuning config")
    parser.add_argument("--iterations", required=True, type=int, help="how many to evaluate")
    parser.add_argument("--mode", default="paper")
    parser.add_argument("--env", default="docker", help="the deployment's name, which separates records")
    parser.add_argument("--optimizer", help=f"{', '.join(SHIPPED)}; else the tuning config's method")
    parser.add_argument("--output-csv", required=True)


def _worker_id(text: str) -> str:
    if not re.fullmatch(r"worker-[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"must be worker-1, worker-2, … (got {shown(text)})")
    return text


def _work(options: argparse.Namespace) -> int:
    stop = StopFlag()
    if "ORCH_TOKEN" not in os.environ:
        from tuning_worker import standalone  # noqa: PLC0415 - brings the embedded server

        return standalone.run(options, stop, say)
    die_with_parent(int(os.environ["ORCH_SUPERVISOR_PID"]))
    from tuning_worker import supervised  # noqa: PLC0415 - the lifeline first: imports take a while

    return supervised.run(stop, say)


def say(event: str, **fields: object) -> None:
    """Write an event as a JSON line to stdout, which the supervisor keeps with its fields."""
    print(json.dumps({"event": event, "time": iso(utc_now()), **fields}, default=str), flush=True)  # noqa: T201


def _told(work: Any) -> int:
    """Run `work`; what goes wrong becomes a sentence on stderr and an exit code."""
    try:
        return int(work())
    except SpecError as error:
        return _fail(error, WorkerExit.USAGE)
    except FencedError as error:  # the job is another attempt's: nothing of this one's end is to be read into it
        return _fail(error, WorkerExit.FAILED)
    except StateError as error:
        return _fail(error, WorkerExit.BROKEN)
    except StoreUnreachableError as error:
        return _fail(error, WorkerExit.STORE)
    except OrchError as error:
        return _fail(error, WorkerExit.FAILED)


def _fail(error: OrchError, code: int) -> int:
    print(f"tuning-worker: {error}", file=sys.stderr)  # noqa: T201 - there is no other place
    return code


if __name__ == "__main__":
    sys.exit(main())
