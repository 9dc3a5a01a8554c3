"""The objective `python`: a function of the user, called with one dict of parameters in the evaluator's process."""

from __future__ import annotations

import copy
import hashlib
import importlib
import inspect
import sys
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, JsonValue
from typing_extensions import override

from orchestrator.looking import is_file
from tuning_worker.objectives.lookup import find_module, function_problems, may_yield
from tuning_worker.objectives.metrics import metrics_from
from tuning_worker.objectives.protocol import EvaluationFailed, Folds, Measurement, Metrics, ObjectiveSpec, Params
from tuning_worker.pruner import Pruner, PrunerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuning_worker.days import Split


class PythonSpec(ObjectiveSpec):
    """`{kind: python, function: "package.module:function", metric: value, direction: maximize}`.

    The module is looked for beside the tuning config first, then on PYTHONPATH, then among what is installed. The
    function returns a number, a dict of metrics (see `tuning_worker.objectives.metrics`), or a `Measurement`. One with
    a `yield` in it tells how it is going: what it yields is like what it returns, and a pruner may stop it there.
    """

    kind: Literal["python"]
    function: str = Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$")
    """`package.module:function`."""
    params: dict[str, JsonValue] = Field(default_factory=dict)
    """Fixed entries of the dict that the function gets, beside the suggested ones."""
    module_file: str | None = None
    """Where the module was found at submit. `resolved` fills it in."""
    module_sha256: str | None = None
    """What that file held at submit. `resolved` fills it in."""

    @override
    def build(self, base: Path) -> PythonObjective:
        module, name = self._names()
        self._warn_if_changed()
        sys.path.insert(0, str(base.absolute()))
        if self.module_file is not None:
            # Where submit found it, PYTHONPATH may have named a folder that it does not name here. Last, so that this
            # folder gives nothing that is found without it.
            sys.path.append(str(_root(module, self.module_file)))
        function = getattr(importlib.import_module(module), name)
        if not callable(function):
            raise EvaluationFailed("TypeError", f"{self.function} is {type(function).__name__}: it cannot be called")
        return PythonObjective(function, self.metric, self.params)

    @override
    def check(self, base: Path, names: tuple[str, ...]) -> list[str]:
        both = sorted(self.params.keys() & set(names))
        problems = [f"{name} is in both params (fixed) and the search space: keep one" for name in both]
        return problems + function_problems(*self._names(), base)

    @override
    def resolved(self, base: Path) -> dict[str, Any]:
        found = find_module(self._names()[0], base)
        file = found.file if found else None
        written = self.model_dump(mode="json", exclude={"module_file", "module_sha256"})
        return {**written, "module_file": str(file), "module_sha256": _sha256(file)} if file else written

    @override
    def folded(self, pruner: Pruner, base: Path, split: Split | None) -> dict[str, Any]:
        if pruner.folds is not None:
            raise PrunerError("a function has as many folds as it yields: leave folds out", "folds")
        if not may_yield(*self._names(), base):
            raise PrunerError(
                f"{self.function} has no `yield`, where it could be stopped: add one, or leave pruner out"
            )
        return {}

    def _names(self) -> tuple[str, str]:
        module, _, name = self.function.partition(":")
        return module, name

    def _warn_if_changed(self) -> None:
        """Say so in the job's log, and go on: a fixed function and `orch retry` are how a broken one is mended."""
        if self.module_file is None or self.module_sha256 is None:
            return
        file = Path(self.module_file)
        if not is_file(file):
            print(f"warning: {file}, found at submit, is gone", file=sys.stderr)  # noqa: T201 - the job's log
        elif _sha256(file) != self.module_sha256:
            print(f"warning: {file} has changed since submit", file=sys.stderr)  # noqa: T201 - the job's log


class PythonObjective:
    """Calls the function."""

    def __init__(self, function: Callable[[dict[str, Any]], object], metric: str, fixed: dict[str, JsonValue]) -> None:
        self._function, self._metric, self._fixed = function, metric, fixed

    def evaluate(self, params: Params) -> Metrics | Measurement | Folds:
        """Call the function with a fresh dict, which is its own to change."""
        returned = self._function({**copy.deepcopy(self._fixed), **params})
        return self._by_folds(returned) if isinstance(returned, Generator) else self._measured(returned)

    def _by_folds(self, course: Generator[object, None, object]) -> Folds:
        with closing(course):
            while True:
                try:
                    told = next(course)
                except StopIteration as end:
                    return self._measured(end.value)
                yield metrics_from(told, self._metric)

    def _measured(self, returned: object) -> Metrics | Measurement:
        if inspect.iscoroutine(returned):
            returned.close()  # or Python would warn, at some later moment, that nobody awaited it
            raise EvaluationFailed("bad_output", "the function is async; an objective is a plain function")
        if isinstance(returned, Measurement):
            return replace(returned, metrics=metrics_from(returned.metrics, self._metric))
        return metrics_from(returned, self._metric)


def _root(module: str, file: str) -> Path:
    """Return the folder that has `module` in it, given the module's file."""
    package = Path(file).stem == "__init__"
    return Path(file).parents[module.count(".") + (1 if package else 0)]


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
