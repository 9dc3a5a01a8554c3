"""Parzen estimators: the density of points in a unit cube, a kernel around each of them and a wide one over all.

A numeric axis runs from 0 to 1, and its kernels are normal distributions cut off at both ends, on an axis of steps
their mean over a step. A choice's kernel is the choice itself and a little of all others. The kernel of a point is the
product of those on each axis (Falkner, Klein & Hutter 2018, "BOHB: robust and efficient hyperparameter optimization at
scale"; Optuna's default as well), so what goes together stays together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats: TypeAlias = npt.NDArray[np.float64]

_LEAST = 1 / 100
"""No kernel is narrower than that, times the estimator's `width`, however many points there are."""
_NARROW = 1e-3  # a step that is no wider has the density of its middle
_TINY = 1e-300  # stands for a mass of 0, whose logarithm is taken


@dataclass(frozen=True, slots=True)
class Places:
    """Where points are on the axes.

    Attributes:
        at: shape (points, axes); on a numeric axis from 0 to 1, on one of choices the position, from 0.
        size: shape (points, axes); how wide the step around `at` is, 0 on a continuous axis.
    """

    at: Floats
    size: Floats


class Parzen:
    """The density of some points, none included.

    Args:
        choices: of each axis how many there are, 0 on a numeric one.
        at: where the points are, shape (points, axes), as `Places.at`.
        width: the least width of a kernel is this over the number of points plus two.
    """

    def __init__(self, choices: Sequence[int], at: Floats, *, width: float) -> None:
        self._numbers = [axis for axis, count in enumerate(choices) if count == 0]
        self._choices = {axis: _shares(at[:, axis].astype(int), count) for axis, count in enumerate(choices) if count}
        at = at[:, self._numbers]
        self._centres = np.vstack([at, np.full((1, at.shape[1]), 0.5)])
        self._widths = np.vstack([_widths(at, width), np.ones((1, at.shape[1]))])
        self._whole = _mass(self._centres, self._widths, 0.0, 1.0)

    def draw(self, rng: np.random.RandomState, count: int) -> Floats:
        """Points of this density, shape (count, axes), as `Places.at`; not yet on the steps of their axes."""
        kernels = rng.randint(len(self._centres), size=count)
        drawn = np.empty((count, len(self._numbers) + len(self._choices)))
        drawn[:, self._numbers] = _draw_normal(rng, self._centres[kernels], self._widths[kernels])
        for axis, shares in self._choices.items():
            below = np.cumsum(shares[kernels], axis=1) <= rng.random_sample((count, 1))
            drawn[:, axis] = np.minimum(below.sum(axis=1), shares.shape[1] - 1)
        return drawn

    def log_density(self, places: Places) -> Floats:
        """The logarithm of the density at each of the places, shape (places,)."""
        total = np.zeros((len(places.at), len(self._centres)))
        for column, axis in enumerate(self._numbers):
            at, size = places.at[:, [axis]], places.size[:, [axis]]
            centres, widths = self._centres[:, column], self._widths[:, column]
            density = -(((at - centres) / widths) ** 2) / 2 - np.log(widths * np.sqrt(2 * np.pi))
            if (wide := size[:, 0] > _NARROW).any():
                inside = _mass(centres, widths, (at - size / 2)[wide], (at + size / 2)[wide])
                density[wide] = np.log(np.maximum(inside, _TINY) / size[wide])
            total += density - np.log(self._whole[:, column])
        for axis, shares in self._choices.items():
            total += np.log(shares[:, places.at[:, axis].astype(int)].T)
        most = total.max(axis=1, keepdims=True)
        return np.asarray(most[:, 0] + np.log(np.exp(total - most).mean(axis=1)))


def _widths(at: Floats, least: float) -> Floats:
    """The standard deviation of each kernel on each axis: how far the farther of its two neighbours is, within limits.

    At the ends, where an axis has one neighbour alone, that one counts (Bergstra et al. 2011, "Algorithms for
    hyper-parameter optimization", and as Optuna has it).
    """
    count = len(at)
    if count < 2:  # noqa: PLR2004 - two have a neighbour
        gaps = np.maximum(at, 1 - at)
    else:
        order = np.argsort(at, axis=0, kind="stable")
        steps = np.diff(np.take_along_axis(at, order, axis=0), axis=0)
        gaps = np.empty_like(at)
        np.put_along_axis(gaps, order, np.vstack([steps[:1], np.maximum(steps[1:], steps[:-1]), steps[-1:]]), axis=0)
    return np.clip(gaps, least * max(_LEAST, 1 / (count + 2)), 1.0)


def _shares(positions: npt.NDArray[np.int_], count: int) -> Floats:
    """The kernels of an axis of choices, shape (points + 1, count): each its own choice, and a share of all."""
    kernels = np.full((len(positions) + 1, count), 1 / (len(positions) + 1))
    kernels[np.arange(len(positions)), positions] += 1
    return np.asarray(kernels / kernels.sum(axis=1, keepdims=True))


def _mass(centres: Floats, widths: Floats, low: Floats | float, high: Floats | float) -> Floats:
    """How much of normal distributions lies between two bounds."""
    return _below((high - centres) / widths) - _below((low - centres) / widths)


def _below(deviations: Floats) -> Floats:
    """The standard normal distribution function, to 1e-7: Abramowitz & Stegun 1964, formula 26.2.17."""
    far = np.abs(deviations)
    turn = 1 / (1 + 0.2316419 * far)
    factors = 0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429
    series = np.zeros_like(far)
    for factor in reversed(factors):
        series = (series + factor) * turn
    above = np.exp(-far * far / 2) / np.sqrt(2 * np.pi) * series
    return np.asarray(np.where(deviations < 0, above, 1 - above))


def _draw_normal(rng: np.random.RandomState, centres: Floats, widths: Floats) -> Floats:
    """A draw of each normal distribution within 0 and 1: again until it is, one time in three at the least."""
    drawn = np.full_like(centres, -1.0)
    while (outside := (drawn < 0) | (drawn > 1)).any():
        drawn[outside] = centres[outside] + widths[outside] * rng.standard_normal(int(outside.sum()))
    return drawn
