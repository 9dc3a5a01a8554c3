"""What is compared: ways to search a problem, each giving the values in the order in which they were found."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import optuna
from functions import problem
from simulate import simulate_async, simulate_batch

from tuning_worker.optimizers import Result, bayesian, make_optimizer, tpe
from tuning_worker.space.dimensions import CategoricalDimension, FloatDimension

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from functions import Problem

    from tuning_worker.optimizers import Optimizer
    from tuning_worker.space.search_space import Params, Point, SearchSpace

MEAN_SECONDS = 0.2  # of an evaluation where processes are real: many times what an ask takes
Values = list[float | None]


def run(method: str, name: str, seed: int, total: int) -> Values:
    """The values that a method finds; `METHODS` has their names."""
    kind, options = METHODS[method]
    return kind(problem(name), name, seed, total, **options)


# --- ours ------------------------------------------------------------------------------------------------------------


def _ours(
    it: Problem,
    name: str,  # noqa: ARG001 - the face of every method
    seed: int,
    total: int,
    *,
    optimizer: str = "bayesian",
    workers: int = 1,
    simulate: Callable[..., Values] = simulate_async,
    **changes: Any,
) -> Values:
    with ExitStack() as stack:
        for constant, changed in changes.items():
            stack.enter_context(_changed(constant, changed))
        made = make_optimizer(optimizer, it.space, seed=seed, direction="minimize", grid_points=3, total=total)
        return simulate(made, it.space, it.value, workers=workers, total=total, seed=seed)


class _Liars:
    """An optimizer that takes what is under evaluation for bad, as Optuna does."""

    learns = unique = True

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer

    def suggest(self, g: int, results: Sequence[Result], pending: Mapping[int, Params], attempt: int = 0) -> Point:
        liars = [Result(each, params, None) for each, params in pending.items() if each != g]
        return self._optimizer.suggest(g, [*results, *liars], pending, attempt)


def _simulate_liars(optimizer: Optimizer, *args: Any, **more: Any) -> Values:
    return simulate_async(_Liars(optimizer), *args, **more)


@contextmanager
def _changed(constant: str, changed: Any) -> Iterator[None]:
    """A constant of the optimizer, changed for a while."""
    module: Any = next(module for module in (bayesian, tpe) if hasattr(module, constant))
    kept = getattr(module, constant)
    setattr(module, constant, changed)
    try:
        yield
    finally:
        setattr(module, constant, kept)


# --- Optuna ----------------------------------------------------------------------------------------------------------


def _suggest(space: SearchSpace, trial: optuna.Trial) -> dict[str, Any]:
    """What a user of Optuna would write for this space."""
    point: dict[str, Any] = {}
    for name, dimension in space.dimensions.items():
        if isinstance(dimension, CategoricalDimension):
            point[name] = trial.suggest_categorical(name, dimension.choices)
        elif isinstance(dimension, FloatDimension):
            point[name] = trial.suggest_float(name, *dimension.bounds, log=dimension.log)
        else:
            point[name] = trial.suggest_int(name, *dimension.bounds, log=dimension.log)
    return point


def _optuna(it: Problem, name: str, seed: int, total: int) -> Values:  # noqa: ARG001 - the face of every method
    """Optuna as it comes, one after another."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(lambda trial: it.value(_suggest(it.space, trial)), n_trials=total)
    return [trial.value for trial in study.trials]


def _optuna_parallel(it: Problem, name: str, seed: int, total: int, *, workers: int) -> Values:  # noqa: ARG001
    """Optuna's processes on its journal file. They cannot share a seed, so each has one of its own, as its FAQ says."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "journal")
        _study(path, seed)
        fork = get_context("fork")
        children = [fork.Process(target=_child, args=(path, name, seed, total, each)) for each in range(workers)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
        trials = [trial for trial in _study(path, seed).trials if trial.state.name == "COMPLETE"]
    return [trial.value for trial in sorted(trials, key=lambda trial: trial.datetime_complete)][:total]


def _study(path: str, seed: int) -> optuna.Study:
    backend = optuna.storages.journal.JournalFileBackend(path)
    sampler = optuna.samplers.TPESampler(seed=seed)
    storage = optuna.storages.JournalStorage(backend)
    return optuna.create_study(study_name="s", storage=storage, sampler=sampler, load_if_exists=True)


def _child(path: str, name: str, seed: int, total: int, number: int) -> None:
    it, lasts = problem(name), Random(seed * 1000 + number)  # noqa: S311 - no secret

    def objective(trial: optuna.Trial) -> float:
        value = it.value(_suggest(it.space, trial))
        time.sleep(lasts.expovariate(1 / MEAN_SECONDS))
        return value

    enough = optuna.study.MaxTrialsCallback(total, states=(optuna.trial.TrialState.COMPLETE,))
    _study(path, seed * 1000 + number).optimize(objective, callbacks=[enough])


METHODS: dict[str, tuple[Callable[..., Values], dict[str, Any]]] = {
    "random": (_ours, {"optimizer": "random"}),
    "optuna": (_optuna, {}),
    "optuna-8-processes": (_optuna_parallel, {"workers": 8}),
    **{f"async-{n}": (_ours, {"workers": n}) for n in (1, 4, 8, 16)},
    **{f"batch-{n}": (_ours, {"workers": n, "simulate": simulate_batch}) for n in (4, 8, 16)},
    "liars-8": (_ours, {"workers": 8, "simulate": _simulate_liars}),
    "as-optuna-8": (_ours, {"workers": 8, "DRAWS": 24, "GOOD_WIDTH": 1.0, "BAD_WIDTH": 1.0}),
    **{f"startup-{n}-8": (_ours, {"workers": 8, "STARTUP": n}) for n in (5, 20)},
    "uncapped-8": (_ours, {"workers": 8, "BEST": 10**9, "LATEST": 10**9}),
    **{f"{name}-8": (_ours, {"workers": 8, "optimizer": name}) for name in ("qmc", "cmaes", "nsga2", "gp")},
}
"""By name: the function and what it is given."""
