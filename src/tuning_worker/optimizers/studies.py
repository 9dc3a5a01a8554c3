"""Optuna asked as a pure function: a study is made, filled with what is known, asked for one point, and dropped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from tuning_worker.optimizers.known import find_latest, within
from tuning_worker.optimizers.protocol import Result
from tuning_worker.space.dimensions import CategoricalDimension, FixedDimension, IntDimension

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from optuna.samplers import BaseSampler

    from tuning_worker.optimizers.protocol import Search
    from tuning_worker.space.dimensions import AnyDimension, FloatDimension
    from tuning_worker.space.search_space import Params, Point, SearchSpace

optuna.logging.set_verbosity(optuna.logging.ERROR)  # "A new study created" for every candidate is no news

ASKS = 32
"""How often a sampler is asked for a point that meets the constraints."""

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # a trial must have one, and no sampler looks at it
_MANY = 2**20  # integers; a double holds the weight of one in a million, not that of one in 10**15


def ask_study(space: SearchSpace, shown: Sequence[Shown], sampler: BaseSampler) -> Point | None:
    """The point that a fresh sampler of Optuna proposes, or None: of `ASKS` none meets the constraints.

    Args:
        space: where to search.
        shown: points of the space, sorted by g, at least one of them with losses.
        sampler: seeded, and asked nothing before.
    """
    axes = {
        name: _axis(dimension)
        for name, dimension in space.dimensions.items()
        if not isinstance(dimension, FixedDimension)
    }
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, sampler=sampler, directions=["minimize"] * objectives_of(shown))
    study_id = storage.get_study_id_from_name(study.study_name)
    for each in shown:
        # Not `study.add_trial`: it deep-copies each trial, three quarters of the time of a suggestion.
        storage.create_new_trial(study_id, _Known.of(each, axes))
    for _ in range(ASKS if space.constraints else 1):
        trial = study.ask()  # what it proposes stays in the study: a point that is refused repels
        point = space.make_point(partial(_value, trial, axes))
        if space.is_allowed(point):
            return point
    return None


def objectives_of(shown: Sequence[Shown]) -> int:
    """How many objectives there are."""
    return max(len(each.losses) for each in shown if each.losses is not None)


@dataclass(frozen=True, slots=True)
class Shown:
    """A point that a sampler is shown.

    Attributes:
        g: by which they are ordered.
        params: a point of the space.
        losses: of each objective, less being better; None where it has none.
        failed: where it has none, whether there never will be any, or it is being evaluated.
    """

    g: int
    params: Params
    losses: tuple[float, ...] | None
    failed: bool


def choose_shown(
    search: Search, best: Sequence[Result], results: Sequence[Result], pending: Mapping[int, Params], latest: int
) -> list[Shown]:
    """The best results, the latest by g, and the candidates under evaluation, those within the space, sorted by g."""
    space = search.space
    known = {result.g for result in results}
    last = find_latest(search, results, best, latest)
    under_way = (Result(g, params, None) for g, params in pending.items() if g not in known)
    shown = {result.g: Shown(result.g, result.params, search.losses(result), failed=True) for result in (*best, *last)}
    shown |= {each.g: Shown(each.g, each.params, None, failed=False) for each in within(space, under_way)}
    return [shown[g] for g in sorted(shown)]


def _value(trial: optuna.Trial, axes: Mapping[str, _Axis], name: str, dimension: AnyDimension) -> Any:
    axis = axes.get(name)
    if axis is None:
        return dimension.at_uniform(0)  # the one value
    match axis.distribution:
        case CategoricalDistribution(choices=choices):
            return axis.decode(trial.suggest_categorical(name, choices))
        case IntDistribution(low=low, high=high, log=log):
            return axis.decode(trial.suggest_int(name, low, high, log=log))
        case FloatDistribution(low=low, high=high, log=log):
            return axis.decode(trial.suggest_float(name, low, high, log=log))
        case unknown:
            raise AssertionError(unknown)


_Code: TypeAlias = "Callable[[Any], Any]"


class _Axis(NamedTuple):
    """One dimension as Optuna sees it, and the way there and back."""

    distribution: BaseDistribution
    encode: _Code
    decode: _Code


def _axis(dimension: FloatDimension | IntDimension | CategoricalDimension) -> _Axis:
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
    """A trial made for one storage, which numbers it; so the storage need not copy it first."""

    @classmethod
    def of(cls, shown: Shown, axes: Mapping[str, _Axis]) -> _Known:
        known = {name: axis for name, axis in axes.items() if name in shown.params}
        losses = shown.losses
        state = TrialState.RUNNING if losses is None else TrialState.COMPLETE
        return cls(
            number=0,  # the storage numbers them
            trial_id=0,
            state=state,
            value=None,
            values=losses,
            datetime_start=_ANY_TIME,
            datetime_complete=_ANY_TIME if state.is_finished() else None,
            params={name: axis.encode(shown.params[name]) for name, axis in known.items()},
            distributions={name: axis.distribution for name, axis in known.items()},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> _Known:
        return self
