"""The probability of backtest overfitting, by combinatorially symmetric cross-validation (CSCV).

Source: Bailey, Borwein, López de Prado & Zhu 2017, "The Probability of Backtest Overfitting", J. of Computational
Finance 20(4) (SSRN 2326253, 2015), sections 2 and 3.

The days are cut into an even number of blocks. For each way to call half of them "in sample", the candidate that is
best there is looked up among all candidates in the other half. If the choice were worth something, it would be in the
upper half there too; the share of the ways in which it is not is the probability of overfitting.

Of candidates that are equally good in sample (all that gained on one and the same number of days by one trade have the
same Sharpe ratio, all that did not trade have none) each is the choice for its share of the way: a rule that took the
first, or the last digit of a sum, would make the probability anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Measure: TypeAlias = Callable[[Floats], Floats]

MOST_BLOCKS: Final = 16
"""The paper's choice: 12,870 ways."""
FEWEST_DAYS: Final = 8
"""Blocks of one day, 70 ways: with fewer the share would be hardly a number."""
_BEYOND: Final = 1e9
_MEDIAN: Final = 0.5
_CELLS: Final = 4_000_000
"""Ways times candidates held in memory at once."""
_DIGITS: Final = 9
"""What candidates that did the same may differ in, by the order in which they were summed, is beyond these."""


@dataclass(frozen=True, slots=True)
class Overfitting:
    """What the cross-validation says. Performance is the Sharpe ratio of a day, or the profit of a day.

    Attributes:
        probability: of backtest overfitting: the share of the ways in which the choice lands in the lower half.
        logits: of each way, ln(rank / (1 - rank)) of the choice out of sample; 0 is the median, below it is worse. Of
            equal choices it is their mean rank, and so are the figures below means of theirs.
        splits: how many ways.
        blocks: how many the days were cut into.
        days: how many.
        candidates: how many.
        slope: of out of sample on in sample performance of the choices (least squares): below 0, the better it looked
            the worse it did. None where all looked the same.
        intercept: of that line.
        loss_probability: the share of the ways in which the choice lost out of sample.
        in_sample: performance of the choice, of each way.
        out_of_sample: performance of the choice on the other half, of each way.
    """

    probability: float
    logits: tuple[float, ...]
    splits: int
    blocks: int
    days: int
    candidates: int
    slope: float | None
    intercept: float | None
    loss_probability: float
    in_sample: tuple[float, ...]
    out_of_sample: tuple[float, ...]


def probability_of_overfitting(
    daily: Floats, blocks: int | None = None, *, by_profit: bool = False
) -> Overfitting | None:
    """Cross-validate the choice of the best candidate.

    Args:
        daily: (days, candidates), profit and loss; days in the order of time.
        by_profit: the best is the one with the most profit, not with the highest Sharpe ratio.
        blocks: even, at most one a day and `MOST_BLOCKS`; by default as many as there can be. Their sizes differ by a
            day at most.

    Returns:
        None for fewer than `FEWEST_DAYS`, or where all candidates did the same, so that there is no choice.
    """
    days, candidates = daily.shape
    if days < FEWEST_DAYS or not (daily != daily[:, :1]).any():
        return None
    blocks = min(days, MOST_BLOCKS) // 2 * 2 if blocks is None else blocks
    measure = _profits(daily, blocks) if by_profit else _sharpes(daily, blocks)
    halves = np.zeros((math.comb(blocks, blocks // 2), blocks))
    for row, chosen in enumerate(combinations(range(blocks), blocks // 2)):
        halves[row, chosen] = 1.0
    portion = max(_CELLS // candidates, 1)
    found = [_chosen(halves[first : first + portion], measure) for first in range(0, len(halves), portion)]
    inside, outside, ranks, low, lost = (np.concatenate(each) for each in zip(*found, strict=True))
    logits = np.log(ranks / (1 - ranks))
    slope, intercept = _line(inside, outside)
    return Overfitting(
        probability=float(low.mean()),
        logits=tuple(logits.tolist()),
        splits=len(halves),
        blocks=blocks,
        days=days,
        candidates=candidates,
        slope=slope,
        intercept=intercept,
        loss_probability=float(lost.mean()),
        in_sample=tuple(inside.tolist()),
        out_of_sample=tuple(outside.tolist()),
    )


def _chosen(halves: Floats, measure: Measure) -> tuple[Floats, ...]:
    """Return what the choice of each way did; means over equal choices.

    Returns:
        Its performance in sample and out of it, its relative rank out of it, whether that was low, whether it lost.
    """
    inside, outside = measure(halves), measure(1 - halves)
    best = inside.max(axis=1)
    in_order = np.sort(outside, axis=1)
    found = np.empty((4, len(halves)))
    for way, choices in enumerate(inside == best[:, None]):
        reached = outside[way, choices]
        # Equals share their places; itself is one of them.
        places = np.searchsorted(in_order[way], reached), np.searchsorted(in_order[way], reached, side="right")
        ranks = (sum(places) + 1) / 2 / (outside.shape[1] + 1)
        found[:, way] = reached.mean(), ranks.mean(), np.mean(ranks <= _MEDIAN), np.mean(reached < 0)
    return best, *found


def _profits(daily: Floats, blocks: int) -> Measure:
    """Return what measures (ways, candidates): the profit of a day on the blocks of each way."""
    parts = np.array_split(daily, blocks)
    sums = np.array([part.sum(axis=0) for part in parts])
    sizes = np.array([len(part) for part in parts], dtype=np.float64)
    unit = 10.0 ** (_DIGITS - np.ceil(np.log10(np.abs(daily).max())))

    def measure(halves: Floats) -> Floats:
        means: Floats = np.round(halves @ sums / (halves @ sizes)[:, None] * unit) / unit
        return means

    return measure


def _sharpes(daily: Floats, blocks: int) -> Measure:
    """Return what measures (ways, candidates): mean / standard deviation (ddof 1) on the blocks of each way.

    Days that are all alike have no Sharpe ratio, and here it has to be compared: 0 where nothing was earned or lost,
    as of a candidate that did not trade, else beyond any other.
    """
    centre = daily.mean(axis=0)
    parts = np.array_split(daily - centre, blocks)  # centred, or the squares would hide small deviations
    sums = np.array([part.sum(axis=0) for part in parts])
    squares = np.array([(part**2).sum(axis=0) for part in parts])
    sizes = np.array([len(part) for part in parts], dtype=np.float64)
    scale = np.sqrt(squares.sum(axis=0) / len(daily))

    def measure(halves: Floats) -> Floats:
        count = (halves @ sizes)[:, None]
        shift = halves @ sums / count
        spread = np.maximum(halves @ squares - count * shift**2, 0.0) / (count - 1)
        mean = centre + shift
        mean = np.where(np.abs(mean) <= 1e-12 * np.maximum(np.abs(centre), scale), 0.0, mean)
        alike = spread <= (1e-7 * scale) ** 2
        ratio = np.round(mean / np.sqrt(np.where(alike, 1.0, spread)), _DIGITS)
        return np.where(alike, np.sign(mean) * _BEYOND, ratio)

    return measure


def _line(x: Floats, y: Floats) -> tuple[float | None, float | None]:
    deviations = x - x.mean()
    square = float(deviations @ deviations)
    if square <= 0:
        return None, None
    slope = float(deviations @ y) / square
    return slope, float(y.mean() - slope * x.mean())
