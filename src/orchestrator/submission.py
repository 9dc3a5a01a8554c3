"""From a session file to a `Submission`: read, checked with its tuning config and data, and free of any file.

`plan`, `run` and `submit` all come through here, so what one of them accepts the others do too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from orchestrator.domain.plan import plan_jobs, surplus_workers
from orchestrator.domain.record import Submission
from orchestrator.domain.session import SessionSpec, choose_optimizer, choose_seed, read_session, restore_session
from orchestrator.errors import Problem, SpecError, StateError
from orchestrator.looking import is_file, is_there

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.domain.documents import Document
    from orchestrator.settings import Settings

_CHECK_TIMEOUT = timedelta(minutes=20)  # a large market is read, validated and cached then, once


class TuningConfigError(SpecError):
    """A session's tuning config, or its data, is not there or is wrong."""


@dataclass(frozen=True, slots=True)
class SessionFile:
    """A session file as it was named, read, with the overrides of the command line applied.

    Attributes:
        path: as it was named.
        spec: what it says.
        document: where it says that.
    """

    path: Path
    spec: SessionSpec
    document: Document

    def problem(self, field: str, message: str) -> Problem:
        """Return a problem with a field, at its place in the file or on the command line."""
        return self.document.problem((field,), message)


def read_session_file(path: Path, overrides: Mapping[str, str]) -> SessionFile:
    """Read a session file.

    Args:
        path: of the file.
        overrides: `key` to value, as given on the command line.

    Raises:
        SpecError: it cannot be read, or something in it is wrong.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SpecError((Problem(f"cannot be read: {error.strerror or error}", str(path)),)) from error
    return SessionFile(path, *read_session(raw, str(path), overrides))


def prepare(file: SessionFile, settings: Settings, cwd: Path) -> Submission:
    """Check everything that a session needs, and make it independent of files that may change.

    Raises:
        SpecError: with every problem found.
        TuningConfigError: these are the tuning config's, which a session that has begun needs no more.
    """
    spec = file.spec
    _check_outputs(file, settings, cwd)
    if too_many := batch_too_large(spec, settings):
        raise SpecError((file.problem("schedule", too_many),))
    if spec.worker_command:
        return Submission(
            spec=spec, seed=choose_seed(spec), tuning="", metric="", direction="", cwd=str(cwd), grid_size=None
        )
    config = _find(spec.config_path, cwd, file.path.parent)
    if config is None:
        beside = f" or {file.path.parent}" if file.path.parent.resolve() != cwd.resolve() else ""
        why = f"there is no {spec.config_path!r} in {cwd}{beside}: name the tuning config of this session"
        raise TuningConfigError((file.problem("config_path", why),))
    answer = _ask_worker(file, config, settings, cwd)
    if spec.resume_from and not answer["learns"]:
        why = f"the optimizer {answer['optimizer']} learns nothing from results: leave resume_from out"
        raise SpecError((file.problem("resume_from", why),))
    # A path found from the working directory stays as it was written: it means the same to the jobs, which start there.
    shown = spec.config_path if is_there(cwd / spec.config_path) else str(config)
    resolved = spec.model_copy(update={"config_path": shown, "optimizer": choose_optimizer(spec, answer["optimizer"])})
    return Submission(
        spec=resolved,
        seed=choose_seed(spec, answer["seed"]),
        tuning=answer["tuning"],
        metric=answer["metric"],
        direction=answer["direction"],
        cwd=str(cwd),
        grid_size=answer["grid_size"],
        reproduction=answer["reproduction"],
    )


def recall(file: SessionFile, record: Mapping[str, str]) -> Submission:
    """Return what the same session file came to when it was prepared first.

    Args:
        file: as it is now; what it says itself is taken from it.
        record: of its session, from the store: what followed from the tuning config is taken from there.
    """
    spec, there = file.spec, restore_session(record["spec"])
    same = there.config_path in {spec.config_path, str((file.path.parent / spec.config_path).resolve())}
    settled = {"config_path": there.config_path if same else spec.config_path}
    return Submission(
        spec=spec.model_copy(update={**settled, "optimizer": spec.optimizer or there.optimizer}),
        seed=int(record["seed"]),
        tuning=record["tuning"],
        metric=record["metric"],
        direction=record["direction"],
        cwd=record["cwd"],
    )


def taken_outputs(spec: SessionSpec, cwd: Path) -> list[str]:
    """Return the CSV files of a session that are there already."""
    if spec.worker_command:
        return []
    return [planned.output_csv for planned in plan_jobs(spec) if is_there(cwd / planned.output_csv)]


def refuse_taken_outputs(spec: SessionSpec, cwd: Path) -> None:
    """Refuse to begin a session whose CSV files are there: they are somebody's results.

    Raises:
        StateError: some are.
    """
    if taken := taken_outputs(spec, cwd):
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise StateError(
            f"{taken[0]}{more} would be written by session {spec.session_id}, and is there already: "
            "move it away, or choose another base_output_csv (--new chooses a free session id and CSV name)"
        )


def batch_too_large(spec: SessionSpec, settings: Settings) -> str:
    """Return why the workers of a batch session cannot all run at once, or nothing."""
    jobs = spec.workers - surplus_workers(spec)
    if spec.schedule == "async" or jobs <= settings.max_jobs:
        return ""
    return (
        f"the {jobs} workers of a batch run at once, and max_jobs is {settings.max_jobs}: "
        "take fewer workers, or raise it (ORCH_MAX_JOBS)"
    )


def outside_roots(path: Path, roots: Sequence[Path]) -> bool:
    """Tell whether a file would be written outside all of some folders, links followed; never where there are none.

    A submitter's own settings are no safeguard: whoever writes the file has to ask this too.
    """
    target = path.resolve()
    return bool(roots) and not any(target.is_relative_to(root.resolve()) for root in roots)


def _find(name: str, *folders: Path) -> Path | None:
    return next((path for folder in folders if is_file(path := (folder / name).resolve())), None)


def _check_outputs(file: SessionFile, settings: Settings, cwd: Path) -> None:
    target = (cwd / file.spec.base_output_csv).resolve()
    if outside_roots(target, settings.output_roots):
        roots = ", ".join(map(str, settings.output_roots))
        why = f"{target} is outside the output_roots in force: {roots}"
        raise SpecError((file.problem("base_output_csv", why),))


def _ask_worker(file: SessionFile, config: Path, settings: Settings, cwd: Path) -> dict[str, Any]:
    """Have the interpreter that will run the workers check the tuning config.

    Raises:
        SpecError: it says what is wrong, or it has no `tuning_worker`.
    """
    spec = file.spec
    python = str(spec.python or settings.worker_python or sys.executable)
    argv = [python, "-P", "-m", "tuning_worker", "check", "--config", str(_shown(config, cwd))]
    argv += ["--iterations", str(spec.total_iterations), "--seed", str(choose_seed(spec))]
    if spec.optimizer:
        argv += ["--optimizer", spec.optimizer]
    try:
        done = subprocess.run(
            argv, cwd=cwd, env={**os.environ, **spec.env_vars}, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=_CHECK_TIMEOUT.total_seconds(), check=False,
        )  # fmt: skip
        answer = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise SpecError((_no_worker(file, python, error, locals().get("done")),)) from error
    if answer["problems"]:
        raise TuningConfigError(tuple(_placed(problem, file) for problem in answer["problems"]))
    checked: dict[str, Any] = answer
    return checked


def _placed(raw: dict[str, Any], file: SessionFile) -> Problem:
    """Return a problem that the worker found; one with the optimizer that it was given stands in the session file."""
    problem = Problem(**{**raw, "path": tuple(raw["path"])})
    return file.problem("optimizer", problem.message) if problem.source == "--optimizer" else problem


def _shown(path: Path, cwd: Path) -> Path:
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path


def _no_worker(file: SessionFile, python: str, error: Exception, done: object) -> Problem:
    said = ""
    if isinstance(done, subprocess.CompletedProcess) and done.stderr.strip():
        said = f": {done.stderr.decode(errors='replace').strip().splitlines()[-1]}"
    elif isinstance(error, OSError):
        said = f": {error.strerror}"
    why = f"{python} cannot run tuning_worker{said}. Install tuning-orchestrator there, or name another interpreter"
    return file.problem("python", why)
