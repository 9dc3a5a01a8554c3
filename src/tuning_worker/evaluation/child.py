"""The evaluator's child: the process in which the objective lives, so that nothing it does can end the worker.

`python -P -m tuning_worker.evaluation.child REQUESTS REPLIES FAULTS`, started by `process.py`, becomes the guard, and
the child is its child. The three are inherited pipes. The child begins with its process id. Then each line of REQUESTS
is JSON: first `{"spec", "base"}`, answered by `{}` or by a failed evaluation; then `{"params", "environment", "bars"}`
each time, answered by an evaluation; at last `{}`, the end.
Standard output and error are the worker's own: the objective may print what it likes.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from typing_extensions import override

from tuning_worker.evaluation.guard import leave_a_guard
from tuning_worker.objectives import build_objective
from tuning_worker.objectives.folds import Pruned, follow
from tuning_worker.objectives.metrics import checked, judged
from tuning_worker.objectives.protocol import EvaluationFailed, Measurement
from tuning_worker.processes import WHERE
from tuning_worker.pruner import Bar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tuning_worker.objectives.protocol import Folds, Metrics

_OURS: Final = ("<frozen importlib", str(Path(__file__).parents[1] / "objectives"), __file__)
"""The frames between this module and the user's code, which tell a user nothing."""


def main(arguments: list[str]) -> None:
    """Serve until the worker says the end, closes REQUESTS or dies."""
    requests, replies, faults = map(int, arguments)
    for fd in (requests, replies, faults):
        os.set_inheritable(fd, False)  # noqa: FBT003 - its only form
    leave_a_guard(requests, (replies, faults))
    os.write(replies, f"{os.getpid()}\n".encode())
    # No SIG_IGN: the commands of an objective would inherit it.
    signal.signal(signal.SIGINT, lambda *_: None)
    faulthandler.enable(faults)
    faulthandler.register(WHERE, faults)
    if isinstance(sys.stdout, io.TextIOWrapper):  # pragma: no branch - None where the worker's is closed
        sys.stdout = _Lines(sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper):  # pragma: no branch - as above
        sys.stderr.reconfigure(line_buffering=True)
    try:
        with open(requests, encoding="utf-8") as lines, open(replies, "w", encoding="utf-8") as answers:  # noqa: PTH123 - fds
            _serve(lines, answers)
    except OSError:  # the objective has closed them
        _wait_for_the_end(replies)


class _Lines(io.TextIOWrapper):
    """Standard output, which knows whether a line of it is unfinished: the worker's next event would end that line."""

    def __init__(self, plain: io.TextIOWrapper) -> None:
        super().__init__(plain.buffer, plain.encoding, plain.errors, line_buffering=True)
        self._unfinished = False

    @override
    def write(self, text: str, /) -> int:
        self._unfinished = not text.endswith("\n") if text else self._unfinished
        return super().write(text)

    def end_line(self) -> None:
        """End the line that is unfinished, if one is."""
        if self._unfinished:
            self.write("\n")


def _wait_for_the_end(replies: int) -> None:
    """Wait to be killed: the worker, which finds its pipe closed, says in its own words what the objective did."""
    with contextlib.suppress(OSError):
        os.close(replies)
    while True:
        signal.pause()


def _serve(lines: IO[str], answers: IO[str]) -> None:
    process = os.getpid()
    folder = Path.cwd()
    first = json.loads(lines.readline())

    def answer(reply: dict[str, Any]) -> None:
        if os.getpid() != process:  # the objective forked, and the copy came back as well: one answer is enough
            os._exit(1)
        answers.write(json.dumps(reply) + "\n")
        answers.flush()

    try:
        objective = build_objective(first["spec"], Path(first["base"]))
    except BaseException as error:  # noqa: BLE001 - an import of the user's code may raise anything
        answer(_failed(error, 0.0))
        return
    answer({})
    while request := json.loads(lines.readline() or "{}"):
        os.environ.update(request["environment"])
        answer(_evaluated(objective.evaluate, first["spec"], request, folder))


def _evaluated(
    evaluate: Callable[[dict[str, Any]], Metrics | Measurement | Folds],
    spec: dict[str, Any],
    request: dict[str, Any],
    folder: Path,
) -> dict[str, Any]:
    metrics = tuple(spec.get("metrics") or (spec.get("metric"),))
    bars = [bar and Bar(*bar) for bar in request["bars"]]
    started = time.perf_counter()
    try:
        os.chdir(folder)  # where the one before may have gone must not matter
        found, values = follow(evaluate(request["params"]), bars, metrics[0], spec.get("direction", "maximize"))
        measured = checked(found if isinstance(found, Measurement) else Measurement(found))
        value, *_ = [judged(measured.metrics, metric) for metric in metrics]
    except Pruned as stopped:
        reply = _reply("PRUNED", seconds=time.perf_counter() - started)
        reply |= {"message": stopped.message, "intermediate": stopped.values}
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of the user's code too
        reply = _failed(error, time.perf_counter() - started)
    else:
        reply = _reply("SUCCESS", seconds=time.perf_counter() - started)
        reply |= {"value": value, "metrics": measured.metrics, "intermediate": values}
        reply |= {"daily": measured.daily, "capital": measured.capital}
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the objective may have put anything in their place
            if isinstance(stream, _Lines):
                stream.end_line()
            stream.flush()
    return reply


def _failed(error: BaseException, seconds: float) -> dict[str, Any]:
    if not isinstance(error, EvaluationFailed):
        error = EvaluationFailed(type(error).__name__, _message(error), _traceback(error))
        with contextlib.suppress(Exception):  # a program that ended by it would write it there too
            sys.stderr.write(f"{(error.detail or error.message).rstrip()}\n")
            sys.stderr.flush()
    reply = _reply("FAILED", seconds=seconds)
    return reply | {
        "metrics": error.metrics,
        "kind": error.kind,
        "message": error.message,
        "detail": error.detail,
    }


def _reply(status: str, seconds: float) -> dict[str, Any]:
    """Return the fields of an `Evaluation` that all have."""
    empty = dict.fromkeys(("value", "kind", "message", "detail"))
    return {"status": status, "metrics": {}, "seconds": seconds, **empty}


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the objective called sys.exit({error.code!r})"
    try:
        return str(error) or f"raised {type(error).__name__} without a message"
    except Exception:  # noqa: BLE001 - a __str__ of the user's
        return f"raised {type(error).__name__}, whose message cannot be shown"


def _traceback(error: BaseException) -> str | None:
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace or error.__traceback__))
    except Exception:  # noqa: BLE001 - out of memory or a strange class: the kind and message remain
        return None


if __name__ == "__main__":  # pragma: no branch - multiprocessing imports it by another name
    main(sys.argv[1:])
