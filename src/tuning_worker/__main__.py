"""`tuning-worker`: the program inside a job, started by a supervisor or by hand; also `check` and `synth`."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from orchestrator.clock import iso, utc_now
from orchestrator.domain.outcome import WorkerExit
from orchestrator.domain.shown import shown
from orchestrator.errors import FencedError, OrchError, SpecError, StateError, StoreUnreachableError
from tuning_worker import check
from tuning_worker.lifeline import StopFlag, die_with_parent

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code (`outcome.WorkerExit`)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["check"]:
        return check.run(_parser("check", check.add_arguments).parse_args(given[1:]))
    if given[:1] == ["synth"]:
        from tuning_worker.market import synth  # noqa: PLC0415 - brings numpy and pyarrow

        return _told(lambda: synth.run(_parser("synth", synth.add_arguments).parse_args(given[1:])))
    options = _parser("", _add_arguments).parse_args(given)
    return _told(lambda: _work(options))


def _parser(verb: str, add: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"tuning-worker {verb}".strip(), description=_ABOUT.get(verb))
    add(parser)
    return parser


_ABOUT = {
    "": "Evaluate one worker's iterations of a session. (Also: tuning-worker check, tuning-worker synth.)",
    "check": "Check a tuning config; the answer is JSON.",
    "synth": "Write a synthetic two-venue data set.",
}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session-id", required=True)
    parser.add_argument("--worker-id", required=True, type=_worker_id, help="worker-1, worker-2, …")
    parser.add_argument("--config", required=True, help="the tuning config")
    parser.add_argument("--iterations", required=True, type=int, help="how many to evaluate")
    parser.add_argument("--mode", default="paper")
    parser.add_argument("--env", default="docker", help="the deployment's name, which separates records")
    parser.add_argument("--optimizer", help="bayesian, grid or random; else the tuning config's method")
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


def _fail(error: OrchError, code: WorkerExit) -> int:
    print(f"tuning-worker: {error}", file=sys.stderr)  # noqa: T201 - there is no other place
    return code


if __name__ == "__main__":
    sys.exit(main())
