"""Which parameters decide whether an iteration is among the best: PED-ANOVA, as Optuna implements it.

Watanabe, Bansal & Hutter 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces",
IJCAI; its form for conditional parameters is Optuna's own. (fANOVA would need scikit-learn.)
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.reporting.scales import Scale
    from tuning_worker.review.recorded import RecordedSession

FEWEST = 20
"""Iterations below which no importance is worth showing: two of them would be the best tenth."""
_MOST = 3000  # the estimate does not get better with more, and takes longer


def find_importances(recorded: RecordedSession, scales: Sequence[Scale]) -> dict[str, float] | None:
    """Return each varied parameter's share of the importance, greatest first; they add up to 1.

    Returns:
        None where there are fewer than `FEWEST` values, the best tenth is no better than the median, or no parameter
        varies.
    """
    varied = [scale for scale in scales if not scale.is_constant]
    known = list(recorded.ranked)
    if len(known) < FEWEST or known[len(known) // 10].value == known[len(known) // 2].value or not varied:
        return None
    known = known[:: math.ceil(len(known) / _MOST)]
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize" if recorded.direction == "maximize" else "minimize")
    trials = [_trial(each.params, each.known_value, varied) for each in known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a regime of a conditional parameter is small
        study.add_trials(trials)
        found: dict[str, float] = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return dict(sorted(found.items(), key=lambda each: -each[1]))


def _trial(params: Mapping[str, object], value: float, scales: Sequence[Scale]) -> optuna.trial.FrozenTrial:
    places = {scale.name: scale.position(params.get(scale.name)) for scale in scales}
    distributions = {scale.name: _distribution(scale) for scale in scales if places[scale.name] is not None}
    return create_trial(
        value=value,
        params={name: int(place) if _is_choice(distributions[name]) else place
                for name, place in places.items() if place is not None},
        distributions=distributions,
    )  # fmt: skip


def _distribution(scale: Scale) -> BaseDistribution:
    if scale.choices is not None:
        return CategoricalDistribution(tuple(range(len(scale.choices))))
    return FloatDistribution(scale.low, scale.high)


def _is_choice(distribution: BaseDistribution) -> bool:
    return isinstance(distribution, CategoricalDistribution)
