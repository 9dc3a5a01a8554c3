"""Optuna's tree-structured Parzen estimator, asked as a pure function: a study is made, filled, asked and dropped."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from tuning_worker.dimensions import CategoricalDimension, IntDimension

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tuning_worker.dimensions import AnyDimension
    from tuning_worker.optimizers.protocol import Direction, Result
    from tuning_worker.space import Point, SearchSpace

optuna.logging.set_verbosity(optuna.logging.ERROR)  # "A new study created" for every candidate is no news

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # a trial must have one, and TPE never looks at it
_MANY = 2**20  # integers; a double holds the weight of one in a million, not that of one in 10**15


def suggest(space: SearchSpace, direction: Direction, shown: Sequence[Result], *, seed: int) -> Point:
    """The candidate that TPE draws.

    Args:
        space: where to search.
        direction: which values are better.
        shown: points of the space, sorted by g (older ones weigh less); those without a value repel.
        seed: in [0, 2**32).
    """
    axes = {name: _axis(dimension) for name, dimension in space.dimensions.items()}
    distributions = {name: axis.distribution for name, axis in axes.items()}
    storage = optuna.storages.InMemoryStorage()
    # Multivariate, with running trials as liars, is Optuna 5's default; both are spelled out as results hang on them.
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True, constant_liar=True)
    study = optuna.create_study(storage=storage, sampler=sampler, direction=direction)
    study_id = storage.get_study_id_from_name(study.study_name)
    for result in shown:
        params = {name: axis.encode(result.params[name]) for name, axis in axes.items()}
        # Not `study.add_trial`: it deep-copies each trial, three quarters of the time of a suggestion.
        storage.create_new_trial(study_id, _Known.of(params, distributions, result.value))
    asked = study.ask(distributions).params
    return {name: axis.decode(asked[name]) for name, axis in axes.items()}


_Code: TypeAlias = "Callable[[Any], Any]"


class _Axis(NamedTuple):
    """One dimension as TPE sees it, and the way there and back."""

    distribution: BaseDistribution
    encode: _Code
    decode: _Code


def _axis(dimension: AnyDimension) -> _Axis:
    if isinstance(dimension, CategoricalDimension):
        # By position: Optuna would take True for 1.
        positions = CategoricalDistribution(tuple(range(len(dimension.choices))))
        return _Axis(positions, dimension.position, dimension.choices.__getitem__)
    values = dimension.values
    if values is None:
        return _continuous(dimension.bounds, log=dimension.log, encode=float, decode=float)
    if isinstance(dimension, IntDimension) and dimension.log:
        return _whole(dimension.bounds, log=True, encode=int, decode=int)
    # By position: low + n * step in floats is not always the value that the user wrote.
    return _whole((0, len(values) - 1), log=False, encode=values.index, decode=values.__getitem__)


def _whole(bounds: tuple[int, int], *, log: bool, encode: _Code, decode: _Code) -> _Axis:
    low, high = bounds
    if high - low < _MANY:
        return _Axis(IntDistribution(low, high, log=log), encode, decode)
    # Optuna weighs the interval around each integer, which vanishes beside so many: rounding does the same.
    edges = low - 0.5, high + 0.5
    return _continuous(edges, log=log, encode=encode, decode=lambda value: decode(min(max(round(value), low), high)))


def _continuous(bounds: tuple[float, float], *, log: bool, encode: _Code, decode: _Code) -> _Axis:
    low, high = bounds
    # Optuna's logarithmic floats may end one rounding beyond their bounds.
    return _Axis(FloatDistribution(low, high, log=log), encode, lambda value: decode(min(max(value, low), high)))


class _Known(FrozenTrial):
    """A trial that nobody changes, so the copy that the storage takes may share what is in it."""

    @classmethod
    def of(cls, params: dict[str, Any], distributions: dict[str, BaseDistribution], value: float | None) -> _Known:
        return cls(
            number=0,  # the storage numbers them
            trial_id=0,
            state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
            value=value,
            datetime_start=_ANY_TIME,
            datetime_complete=None if value is None else _ANY_TIME,
            params=params,
            distributions=distributions,
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> _Known:
        return copy.copy(self)
