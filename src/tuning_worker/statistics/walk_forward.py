"""What choosing on the past would have earned next: walk-forward selection among the candidates of a session.

For each validation fold in turn the candidate is chosen that did best on all days before it, and what it earned in the
fold is counted: Pardo 2008, "The Evaluation and Optimization of Trading Strategies", 2nd ed., chapter 11. The
candidates were proposed by what they did on the tune days alone: no fold had a say in what there was to choose from.
The days just before a fold are purged: they have no say in what is chosen for it (López de Prado 2018, "Advances in
Financial Machine Learning", chapter 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Step:
    """One fold.

    Attributes:
        chosen: the g of the candidate that was best before.
        days_before: how many days it was chosen on.
        days: of the fold.
        a_day_before: what it earned a day, on those it was chosen on.
        earned: in the fold.
        beaten: the share of the other candidates that earned less in the fold, equals counting half; 0.5 is what a
            blind choice can expect.
    """

    chosen: int
    days_before: int
    days: int
    a_day_before: float
    earned: float
    beaten: float


@dataclass(frozen=True, slots=True)
class WalkForward:
    """All folds.

    Attributes:
        earned: in all of them.
        days: of all of them.
        efficiency: earned a day / what the choices earned a day before (Pardo's walk-forward efficiency); None where
            they earned nothing before.
        steps: one a fold.
    """

    earned: float
    days: int
    efficiency: float | None
    steps: tuple[Step, ...]


def walk_forward(
    candidates: Sequence[int],
    days: Sequence[date],
    daily: Floats,
    folds: Sequence[Sequence[date]],
    purge: int,
    score: Callable[[Floats], Floats],
) -> WalkForward | None:
    """Choose before each fold, and earn in it.

    Args:
        candidates: the g of each column.
        days: those that were tuned on, then those of all folds; ascending.
        daily: (days, candidates), profit and loss.
        folds: the days of each, in the order of time.
        purge: days of the calendar before a fold that what is chosen for it is not chosen by.
        score: of (days, candidates) what each candidate (candidates,) is chosen by, the highest first; NaN is lowest,
            and of equals the first one is chosen.

    Returns:
        None where there is no fold or no choice.
    """
    if not folds or len(candidates) < 2:  # noqa: PLR2004 - one is not a choice
        return None
    steps = []
    for dates in folds:
        before = daily[[(dates[0] - day).days > purge for day in days]]
        fold = daily[[day in dates for day in days]]
        scores = score(before)
        chosen = int(np.argmax(np.where(np.isnan(scores), -np.inf, scores)))
        earned = fold.sum(axis=0)
        others = np.delete(earned, chosen)
        beaten = np.mean((others < earned[chosen]) + 0.5 * (others == earned[chosen]))
        steps.append(
            Step(
                chosen=candidates[chosen],
                days_before=len(before),
                days=len(fold),
                a_day_before=float(before[:, chosen].mean()),
                earned=float(earned[chosen]),
                beaten=float(beaten),
            )
        )
    earned_in_all = sum(step.earned for step in steps)
    expected = sum(step.a_day_before * step.days for step in steps)
    efficiency = earned_in_all / expected if expected > 0 else None
    return WalkForward(earned_in_all, sum(step.days for step in steps), efficiency, tuple(steps))
