"""How far the best of a session can be trusted: the statistics of what was recorded, and why one is missing. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tuning_worker.days import EvaluationSpec
from tuning_worker.space.dimensions import CategoricalDimension, FixedDimension
from tuning_worker.statistics.deflated_sharpe import DeflatedSharpe, deflated_sharpe
from tuning_worker.statistics.neighbourhood import Evaluated, Neighbourhood, find_neighbourhood
from tuning_worker.statistics.overfitting import FEWEST_DAYS, Overfitting, probability_of_overfitting
from tuning_worker.statistics.sharpe import daily_sharpe
from tuning_worker.statistics.walk_forward import WalkForward, walk_forward

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from tuning_worker.days import Split
    from tuning_worker.review.recorded import RecordedSession, Trial
    from tuning_worker.space.search_space import SearchSpace

    Floats = npt.NDArray[np.float64]

STATISTICS = ("deflated_sharpe", "overfitting", "neighbourhood", "walk_forward")
_BY_SHARPE = ("sharpe", "sortino")
_FEWEST_NEIGHBOURS = 4
_OF_EACH_WAY = ("logits", "in_sample", "out_of_sample")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What can be said of a session's best; a statistic that cannot be computed is None, and `missing` says why.

    Attributes:
        tried: how many different points were evaluated, those that were pruned included.
        pruned: how many of them were, so that nothing but their number is known here.
        tried_before: how many more were by the sessions that it resumes from.
        best_g: of the best; None where nothing has a value.
        tune_days: how many days it was chosen by; None where the objective tells no days.
        earning_days: on how many of these the best earned or lost anything: the others say nothing about it.
        deflated_sharpe: of the best, on the tune days.
        overfitting: of the choice among all, on the tune days.
        neighbourhood: of the best.
        walk_forward: through the validation folds.
        missing: by the name of a statistic, why it is None.
    """

    tried: int
    pruned: int = 0
    tried_before: int = 0
    best_g: int | None = None
    tune_days: int | None = None
    earning_days: int | None = None
    deflated_sharpe: DeflatedSharpe | None = None
    overfitting: Overfitting | None = None
    neighbourhood: Neighbourhood | None = None
    walk_forward: WalkForward | None = None
    missing: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it, without the figures of each way of the cross-validation."""
        document = asdict(self)
        for name in _OF_EACH_WAY if self.overfitting else ():
            del document["overfitting"][name]
        return document


def judge(session: RecordedSession) -> Judgement:
    """Compute all that the records allow."""
    ranked = session.ranked_points
    if not ranked:
        return Judgement(0, missing=dict.fromkeys(STATISTICS, "no iteration has a value"))
    pruned = len(session.pruned_points)
    found = Judgement(len(ranked) + pruned, pruned, session.tried_before, ranked[0].g)
    found = _judge_neighbourhood(found, session, ranked)
    if ranked[0].daily is None:
        missing = dict.fromkeys(STATISTICS, "the objective tells no daily profits") | found.missing
        missing = {name: why for name, why in missing.items() if getattr(found, name) is None}
        return replace(found, missing=missing)
    return _judge_days(found, session, ranked)


def _judge_neighbourhood(found: Judgement, session: RecordedSession, ranked: Sequence[Trial]) -> Judgement:
    points = [_evaluated(session.config.space, trial) for trial in ranked]
    nearest = max(2 * len(points[0].point), _FEWEST_NEIGHBOURS)
    neighbourhood = find_neighbourhood(points[0], points[1:], session.direction, nearest)
    if neighbourhood is not None:
        return replace(found, neighbourhood=neighbourhood)
    if points[0].value <= 0:
        why = f"the best value is {points[0].value:g}: a share of it has no meaning"
    else:
        why = f"there are {len(points) - 1} other points, and it takes {nearest}"
    return replace(found, missing={**found.missing, "neighbourhood": why})


def _evaluated(space: SearchSpace, trial: Trial) -> Evaluated:
    """Return a point in the coordinates of the space; what is fixed is nowhere else, and left out."""
    coordinates: dict[str, float | str | bool] = {}
    for name, value in trial.params.items():
        dimension = space.dimensions[name]
        if isinstance(dimension, CategoricalDimension):
            coordinates[name] = repr(value)
        elif not isinstance(dimension, FixedDimension):
            coordinates[name] = float(dimension.share(cast("int", value)))  # a float where the dimension is one
    return Evaluated(trial.g, coordinates, trial.known_value)


def _judge_days(found: Judgement, session: RecordedSession, ranked: Sequence[Trial]) -> Judgement:
    """Add what follows from the daily profits."""
    split, days = session.split, sorted(ranked[0].daily or ())
    tune = days if split is None else [day.isoformat() for day in split.tune]
    # Others than the best's days are those of another objective, which was mended in between: not to be compared.
    candidates = sorted(
        (trial for trial in ranked if trial.daily is not None and trial.daily.keys() == set(days)),
        key=lambda trial: trial.g,
    )
    matrix = _matrix(candidates, tune)
    sharpes = [sharpe for column in matrix.T.tolist() if (sharpe := daily_sharpe(column)) is not None]
    best = [ranked[0].daily[day] for day in tune] if ranked[0].daily else []
    statistics = {
        "deflated_sharpe": (
            deflated_sharpe(best, sharpes, found.tried + found.tried_before),
            "the best's days are all alike, or there is but one: it has no Sharpe ratio",
        ),
        "overfitting": (
            probability_of_overfitting(matrix, by_profit=session.metric not in _BY_SHARPE),
            f"{len(tune)} days are too few, it takes {FEWEST_DAYS}"
            if len(tune) < FEWEST_DAYS
            else "on these days all candidates did the same",
        ),
        "walk_forward": (_walk(session, candidates), _why_no_walk(split)),
    }
    missing = {name: why for name, (statistic, why) in statistics.items() if statistic is None}
    computed: dict[str, Any] = {name: statistic for name, (statistic, _) in statistics.items()}
    found = replace(found, tune_days=len(tune), earning_days=sum(pnl != 0 for pnl in best))
    return replace(found, missing={**found.missing, **missing}, **computed)


def _walk(session: RecordedSession, candidates: Sequence[Trial]) -> WalkForward | None:
    split = session.split
    if split is None or not split.is_forward:
        return None
    days = (*split.tune, *split.validation)
    return walk_forward(
        [trial.g for trial in candidates],
        days,
        _matrix(candidates, [day.isoformat() for day in days]),
        split.folds,
        (session.config.evaluation or EvaluationSpec()).purge,
        _sharpes if session.metric in _BY_SHARPE else _sums,
    )


def _why_no_walk(split: Split | None) -> str:
    if split is None or not split.folds:
        return "there are no validation folds (tuning.evaluation)"
    if not split.is_forward:
        return (
            f"the validation begins on {min(split.validation)} and days are tuned on until {max(split.tune)}: "
            "what there is to choose from knows the days after the choice"
        )
    return "there is one candidate"


def _matrix(candidates: Sequence[Trial], days: Sequence[str]) -> Floats:
    """Return the profits, (days, candidates)."""
    rows = [[(trial.daily or {})[day] for trial in candidates] for day in days]
    return np.array(rows, dtype=np.float64).reshape(len(days), len(candidates))


def _sums(days: Floats) -> Floats:
    total: Floats = days.sum(axis=0)
    return total


def _sharpes(days: Floats) -> Floats:
    found = [daily_sharpe(column) for column in days.T.tolist()]
    return np.array([np.nan if sharpe is None else sharpe for sharpe in found])
