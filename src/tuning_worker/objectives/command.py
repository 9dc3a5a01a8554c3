"""The objective `command`: a program that gets the parameters by argument or environment and prints its metrics."""

from __future__ import annotations

import os
import shutil
import string
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import override

from orchestrator.looking import is_file, is_folder
from tuning_worker.objectives.command_run import Ended, run_command
from tuning_worker.objectives.metrics import metrics_from
from tuning_worker.objectives.protocol import EvaluationFailed, Metrics, ObjectiveSpec, Params
from tuning_worker.processes import died

if TYPE_CHECKING:
    from collections.abc import Mapping


def _text_of_int(value: object) -> object:
    # A float is refused: by now `1.10` is 1.1, and the program would not get what was written.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_text_of_int)]

PARAMETER: Final = "ORCH_PARAM_"
"""The environment variable of a parameter is this and the parameter's exact name."""


class CommandSpec(ObjectiveSpec):
    """`{kind: command, argv: ["./train.sh", "--lr", "{lr}"], metric: loss, direction: minimize}`.

    In the arguments `{name}` stands for a parameter, `{{` and `}}` for braces. No shell is involved. The metrics are
    those of the last line of its standard output that is a JSON object.
    """

    kind: Literal["command"]
    argv: tuple[Text, ...] = Field(min_length=1)
    """The program and its arguments; `{name}` in one of them stands for a parameter."""
    cwd: str | None = None
    """Where it runs, from the current directory or else the tuning config's folder. The current one where not given."""
    env: dict[str, Text] = Field(default_factory=dict)
    """Variables added to the worker's own environment."""

    @override
    def build(self, base: Path) -> CommandObjective:
        program = self._program(base) or self.argv[0]
        return CommandObjective((program, *self.argv[1:]), self._cwd(base), self.env, self.metric)

    @override
    def check(self, base: Path, names: tuple[str, ...]) -> list[str]:
        problems = [problem for argument in self.argv for problem in _template_problems(argument, names)]
        cwd = self._cwd(base)
        if not is_folder(cwd):
            problems.append(f"there is no directory {cwd} to run the command in")
        if "{" not in self.argv[0] and self._program(base) is None:
            problems.append(f"there is no program {self.argv[0]} that can be executed")
        return problems

    @override
    def resolved(self, base: Path) -> dict[str, Any]:
        program = self._program(base) or self.argv[0]
        return {
            **self.model_dump(mode="json"),
            "argv": [program, *self.argv[1:]],
            "cwd": str(self._cwd(base)),
        }

    def _cwd(self, base: Path) -> Path:
        here = Path(self.cwd or ".").absolute()
        beside = base.absolute() / (self.cwd or ".")
        return here if is_folder(here) or not is_folder(beside) else beside

    def _program(self, base: Path) -> str | None:
        """Return the absolute path of the program, links kept (its name may be its role), or None."""
        name = self.argv[0]
        if "/" not in name:
            found = shutil.which(name, path=self.env.get("PATH"))
            return found and str(Path(found).absolute())
        for folder in (self._cwd(base), base.absolute()):
            candidate = folder / name
            if is_file(candidate) and os.access(candidate, os.X_OK):
                return os.path.normpath(candidate)
        return None


class CommandObjective:
    """Runs the program, once for each suggestion."""

    def __init__(self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], metric: str) -> None:
        self._argv, self._cwd, self._env, self._metric = argv, cwd, env, metric

    def evaluate(self, params: Params) -> Metrics:
        """Run the program and take its metrics.

        Raises:
            EvaluationFailed: `launch`, `exit:N`, `signal:NAME` or `bad_output`, with the end of what it printed.
        """
        values = {name: _text(value) for name, value in params.items()}
        argv = [_filled(argument, values) for argument in self._argv]
        given = {PARAMETER + name: value for name, value in values.items()}
        ended = run_command(argv, self._cwd, {**os.environ, **self._env, **given})
        if ended.returncode != 0:
            kind, how = died(ended.returncode)
            raise EvaluationFailed(kind, f"{argv[0]} {how}", _last_words(ended))
        if ended.metrics is None:
            message = "no line of its standard output is a JSON object such as " + f'{{"{self._metric}": 0.5}}'
            raise EvaluationFailed("bad_output", message, _last_words(ended))
        return metrics_from(ended.metrics, self._metric)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Put values in. Unlike `str.format`, a name is only a name: no attributes, no formats.

    Raises:
        EvaluationFailed: the template asks for what there is not; `check` says so at submit.
    """
    problems = _template_problems(template, tuple(values))
    if problems:
        raise EvaluationFailed("launch", "; ".join(problems))
    pieces = string.Formatter().parse(template)
    return "".join(text + (values[name] if name is not None else "") for text, name, _, _ in pieces)


_TWICE = "a brace that is meant as one is written twice, {{ or }}"


def _template_problems(template: str, names: tuple[str, ...]) -> list[str]:
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        return [f"the argument {template!r}: {error}; {_TWICE}"]
    problems = []
    for _, name, form, conversion in pieces:
        if name is None:
            continue
        if name not in names:
            known = ", ".join(names) or "none"
            problems.append(
                f"the argument {template!r}: {{{name}}} is no parameter; the search space has: {known}; {_TWICE}"
            )
        elif form or conversion:
            problems.append(f"the argument {template!r}: a placeholder is only a name, like {{{name}}}")
    return problems


def _last_words(ended: Ended) -> str | None:
    """Return the end of its standard error, or of its output where that is empty."""
    return ended.stderr_tail or ended.stdout_tail or None
