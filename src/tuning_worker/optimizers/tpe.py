"""Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.samplers import TPESampler

from tuning_worker.optimizers.studies import Shown, ask_study, objectives_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuning_worker.space.search_space import Point, SearchSpace

MULTIVARIATE = True
"""Whether one objective's parameters are drawn together."""


def suggest(space: SearchSpace, shown: Sequence[Shown], *, seed: int) -> Point | None:
    """The candidate that TPE draws; arguments and result as `ask_study`.

    With one objective the values of a point are drawn together, but for parameters that are there under a condition.
    With several, all are drawn apart, as Optuna does it (Ozaki et al. 2020, "Multiobjective tree-structured Parzen
    estimator for computationally expensive optimization problems").

    Args:
        space: where to search.
        shown: points of the space, sorted by g.
        seed: in [0, 2**32).
    """
    # All on which results hang is spelled out, also where it is Optuna's default. What has no losses repels.
    multivariate = MULTIVARIATE and objectives_of(shown) == 1
    sampler = TPESampler(seed=seed, n_startup_trials=1, multivariate=multivariate, constant_liar=True)
    return ask_study(space, shown, sampler)
