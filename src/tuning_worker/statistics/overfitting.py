"""The probability of backtest overfitting, by combinatorially symmetric cross-validation (CSCV).

Source: Bailey, Borwein, López de Prado & Zhu 2017, "The Probability of Backtest Overfitting", J. of Computational
Finance 20(4) (SSRN 2326253, 2015), sections 2 and 3.

The days are cut into an even number of blocks. For each way to call half of them "in sample", the candidate that is
best there is looked up among all candidates in the other half. If the choice were worth something, it would be in the
upper half there too; the share of the ways in which it is not is the probability of overfitting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

MOST_BLOCKS: Final = 16
"""The paper's choice: 12,870 ways."""
FEWEST_DAYS: Final = 8
"""Blocks of one day, 70 ways: with fewer the share would be hardly a number."""
_BEYOND: Final = 1e9
_CELLS: Final = 4_000_000
"""Ways times candidates held in memory at once."""


@dataclass(frozen=True, slots=True)
class Overfitting:
    """What the cross-validation says. Performance is the Sharpe ratio of a day.

    Attributes:
        probability: of backtest overfitting: the share of the ways in which the choice lands in the lower half.
        logits: of each way, ln(rank / (1 - rank)) of the choice out of sample; 0 is the median, below it is worse.
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


def probability_of_overfitting(daily: Floats, blocks: int | None = None) -> Overfitting | None:
    """Cross-validate the choice of the best candidate.

    Args:
        daily: (days, candidates), profit and loss; days in the order of time.
        blocks: even, at most one a day and `MOST_BLOCKS`; by default as many as there can be. Their sizes differ by a
            day at most.

    Returns:
        None for fewer than `FEWEST_DAYS`, or where all candidates did the same, so that there is no choice.
    """
    days, candidates = daily.shape
    if days < FEWEST_DAYS or not (daily != daily[:, :1]).any():
        return None
    blocks = min(days, MOST_BLOCKS) // 2 * 2 if blocks is None else blocks
    centre = daily.mean(axis=0)
    parts = np.array_split(daily - centre, blocks)  # centred, or the squares would hide small deviations
    sums = np.array([part.sum(axis=0) for part in parts])
    squares = np.array([(part**2).sum(axis=0) for part in parts])
    sizes = np.array([len(part) for part in parts])
    scale = np.sqrt(squares.sum(axis=0) / days)
    halves = np.zeros((math.comb(blocks, blocks // 2), blocks))
    for row, chosen in enumerate(combinations(range(blocks), blocks // 2)):
        halves[row, chosen] = 1.0
    portion = max(_CELLS // candidates, 1)
    found = [
        _chosen(halves[first : first + portion], sizes, sums, squares, centre, scale)
        for first in range(0, len(halves), portion)
    ]
    inside, outside, ranks = (np.concatenate(each) for each in zip(*found, strict=True))
    logits = np.log(ranks / (1 - ranks))
    slope, intercept = _line(inside, outside)
    return Overfitting(
        probability=float(np.mean(logits <= 0)),
        logits=tuple(logits.tolist()),
        splits=len(halves),
        blocks=blocks,
        days=days,
        candidates=candidates,
        slope=slope,
        intercept=intercept,
        loss_probability=float(np.mean(outside < 0)),
        in_sample=tuple(inside.tolist()),
        out_of_sample=tuple(outside.tolist()),
    )


def _chosen(
    halves: Floats, sizes: Floats, sums: Floats, squares: Floats, centre: Floats, scale: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return of each way the choice's performance in sample and out of it, and its relative rank out of it."""
    inside = _sharpes(halves, sizes, sums, squares, centre, scale)
    outside = _sharpes(1 - halves, sizes, sums, squares, centre, scale)
    best = inside.argmax(axis=1)
    rows = np.arange(len(halves))
    reached = outside[rows, best]
    below = (outside < reached[:, None]).sum(axis=1)
    level = (outside == reached[:, None]).sum(axis=1)
    # Equals share their places; itself is one of them.
    ranks = (below + (level + 1) / 2) / (outside.shape[1] + 1)
    return inside[rows, best], reached, ranks


def _sharpes(halves: Floats, sizes: Floats, sums: Floats, squares: Floats, centre: Floats, scale: Floats) -> Floats:
    """Return (ways, candidates): mean / standard deviation (ddof 1) on the blocks of each way.

    Days that are all alike have no Sharpe ratio, and here it has to be compared: 0 where nothing was earned or lost,
    as of a candidate that did not trade, else beyond any other.
    """
    count = (halves @ sizes)[:, None]
    shift = halves @ sums / count
    spread = np.maximum(halves @ squares - count * shift**2, 0.0) / (count - 1)
    mean = centre + shift
    mean = np.where(np.abs(mean) <= 1e-12 * np.maximum(np.abs(centre), scale), 0.0, mean)
    alike = spread <= (1e-7 * scale) ** 2
    # Rounded, so that candidates which did the same are equal whatever the order in which they were summed.
    ratio = np.round(mean / np.sqrt(np.where(alike, 1.0, spread)), 12)
    return np.where(alike, np.sign(mean) * _BEYOND, ratio)


def _line(x: Floats, y: Floats) -> tuple[float | None, float | None]:
    deviations = x - x.mean()
    square = float(deviations @ deviations)
    if square <= 0:
        return None, None
    slope = float(deviations @ y) / square
    return slope, float(y.mean() - slope * x.mean())
