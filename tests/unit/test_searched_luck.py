"""What the best of a search among worthless strategies is said to be worth: simulated, as the answer is known.

A strategy here earns on each day a smooth random function of its parameters, whose mean is nothing. Whoever climbs on
it finds what chance has put there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median

import numpy as np
import numpy.typing as npt
import pytest

from tuning_worker.statistics.deflated_sharpe import deflated_sharpe
from tuning_worker.statistics.overfitting import probability_of_overfitting

Floats = npt.NDArray[np.float64]
Search = Callable[[np.random.Generator], Floats]

DAYS, TRIES, STARTUP = 60, 300, 10


def sharpes(daily: Floats) -> Floats:
    found: Floats = daily.mean(axis=0) / daily.std(axis=0, ddof=1)
    return found


def blind(draw: np.random.Generator) -> Floats:
    """Tries that have nothing to do with each other."""
    return draw.normal(size=(DAYS, TRIES))


def concentrated(draw: np.random.Generator) -> Floats:
    """A few blind tries, then all around the luckiest of them."""
    first = draw.normal(size=(DAYS, STARTUP))
    luckiest = first[:, sharpes(first).argmax()]
    around = 0.98 * luckiest[:, None] + math.sqrt(1 - 0.98**2) * draw.normal(size=(DAYS, TRIES - STARTUP))
    return np.concatenate([first, around], axis=1)


def climbing(dimensions: int, smooth: float) -> Search:
    """A few blind tries, then steps from the best so far."""

    def search(draw: np.random.Generator) -> Floats:
        waves = draw.normal(size=(400, dimensions)) / smooth
        phases = draw.uniform(0, 2 * math.pi, 400)
        landscape = draw.normal(size=(DAYS, 400)) * math.sqrt(2 / 400)
        best, highest, tried = np.zeros(dimensions), -math.inf, []
        for number in range(TRIES):
            place = draw.uniform(size=dimensions) if number < STARTUP else best + 0.1 * draw.normal(size=dimensions)
            place = place.clip(0, 1)
            daily = landscape @ np.cos(waves @ place + phases)
            tried.append(daily)
            reached = float(daily.mean() / daily.std(ddof=1))
            if reached > highest:
                best, highest = place, reached
        return np.stack(tried, axis=1)

    return search


def deflated(search: Search, times: int = 80) -> float:
    """Return the median of the deflated ratio of the best over so many searches."""
    draw = np.random.default_rng(1)
    ratios = []
    for _ in range(times):
        daily = search(draw)
        tried = sharpes(daily)
        found = deflated_sharpe(daily[:, tried.argmax()].tolist(), tried.tolist(), TRIES)
        assert found is not None
        ratios.append(found.deflated)
    return median(ratios)


def test_of_blind_tries_the_best_is_as_likely_luck_as_not():
    assert deflated(blind) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    "search",
    [concentrated, climbing(2, 0.3), climbing(3, 0.3), climbing(3, 1.0)],
    ids=["concentrated", "2-D", "3-D", "3-D, smooth"],
)
def test_a_search_that_learns_does_not_make_luck_look_better(search: Search):
    assert deflated(search) < 0.35


def test_in_ten_dimensions_climbing_finds_more_than_blind_tries_and_cross_validation_says_so():
    """The limit that the documentation tells of."""
    search = climbing(10, 1.0)
    assert 0.5 < deflated(search) < 0.75
    draw = np.random.default_rng(1)
    found = [probability_of_overfitting(search(draw), blocks=8) for _ in range(20)]
    assert median(each.probability for each in found if each) > 0.7
