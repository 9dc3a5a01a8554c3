"""The objective `python`: a function of the user, called with one dict of parameters in the evaluator's process."""

from __future__ import annotations

import copy
import hashlib
import importlib
import inspect
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, JsonValue
from typing_extensions import override

from tuning_worker.objectives.lookup import find_module, function_problems
from tuning_worker.objectives.metrics import metrics_from
from tuning_worker.objectives.protocol import EvaluationFailed, Measurement, Metrics, ObjectiveSpec, Params

if TYPE_CHECKING:
    from collections.abc import Callable


class PythonSpec(ObjectiveSpec):
    """`{kind: python, function: "package.module:function", metric: value, direction: maximize}`.

    The module is looked for beside the tuning config first, then on PYTHONPATH, then among what is installed. The
    function returns a number, a dict of metrics (see `tuning_worker.objectives.metrics`), or a `Measurement`.
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

    def _names(self) -> tuple[str, str]:
        module, _, name = self.function.partition(":")
        return module, name

    def _warn_if_changed(self) -> None:
        """Say so in the job's log, and go on: a fixed function and `orch retry` are how a broken one is mended."""
        if self.module_file is None or self.module_sha256 is None:
            return
        file = Path(self.module_file)
        if not file.is_file():
            print(f"warning: {file}, found at submit, is gone", file=sys.stderr)  # noqa: T201 - the job's log
        elif _sha256(file) != self.module_sha256:
            print(f"warning: {file} has changed since submit", file=sys.stderr)  # noqa: T201 - the job's log


class PythonObjective:
    """Calls the function."""

    def __init__(self, function: Callable[[dict[str, Any]], object], metric: str, fixed: dict[str, JsonValue]) -> None:
        self._function, self._metric, self._fixed = function, metric, fixed

    def evaluate(self, params: Params) -> Metrics | Measurement:
        """Call the function with a fresh dict, which is its own to change."""
        returned = self._function({**copy.deepcopy(self._fixed), **params})
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
