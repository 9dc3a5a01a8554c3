"""How far the best can be trusted: on cases whose answer is known."""

from __future__ import annotations

import math
from datetime import date, timedelta
from itertools import combinations
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning_worker.statistics.deflated_sharpe import (
    deflated_sharpe,
    expected_maximum,
    moments,
    probabilistic_sharpe,
)
from tuning_worker.statistics.neighbourhood import Evaluated, find_neighbourhood
from tuning_worker.statistics.overfitting import probability_of_overfitting
from tuning_worker.statistics.sharpe import daily_sharpe
from tuning_worker.statistics.walk_forward import walk_forward

# --- the Sharpe ratio, deflated -------------------------------------------------------------------------------------

# The example of the 2014 paper: 100 tries, five years of days, an annual ratio of 2.5, a variance of the tries' annual
# ratios of 1/2, skewness -3, kurtosis 10. It finds 0.1132 and 0.9004; with 46 tries, 0.9505.
A_DAY = 2.5 / math.sqrt(250)


@pytest.mark.parametrize(("trials", "maximum", "deflated"), [(100, 0.1132, 0.9004), (46, 0.1004, 0.9505)])
def test_the_deflated_ratio_is_that_of_the_paper(trials: int, maximum: float, deflated: float) -> None:
    benchmark = expected_maximum(trials, 0.5 / 250)
    assert benchmark == pytest.approx(maximum, abs=5e-5)
    assert probabilistic_sharpe(A_DAY, benchmark, 1250, -3, 10) == pytest.approx(deflated, abs=5e-5)


def test_the_probabilistic_ratio_is_that_of_the_paper() -> None:
    """The 2012 paper's hedge fund: 24 months with a ratio of 0.458, skewness -2.448, kurtosis 10.164."""
    assert probabilistic_sharpe(0.458, 0.0, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)
    assert probabilistic_sharpe(0.458, 0.0, 24, 0, 3) == pytest.approx(0.982, abs=5e-4)


def test_a_ratio_at_its_benchmark_is_as_likely_as_not() -> None:
    assert probabilistic_sharpe(0.1, 0.1, 100, -1, 5) == pytest.approx(0.5)


def test_what_the_best_of_many_worthless_ones_shows_is_what_simulation_finds() -> None:
    highest = np.random.default_rng(1).normal(size=(4000, 50)).max(axis=1)
    assert expected_maximum(50, 1.0) == pytest.approx(highest.mean(), rel=0.02)
    assert expected_maximum(1, 1.0) == 0


def test_the_moments_are_those_of_known_distributions() -> None:
    assert moments([-1, 1, -1, 1]) == pytest.approx((0, 1))
    assert moments([0, 0, 0, 1]) == pytest.approx((2 / math.sqrt(3), 7 / 3))  # Bernoulli of 1/4
    skew, kurtosis = moments(np.random.default_rng(1).normal(size=50_000).tolist())
    assert (skew, kurtosis) == (pytest.approx(0, abs=0.05), pytest.approx(3, abs=0.1))


def test_the_best_of_worthless_tries_is_deflated_and_a_good_one_is_not() -> None:
    noise = np.random.default_rng(7).normal(size=(250, 200))
    sharpes = [daily_sharpe(column) for column in noise.T.tolist()]
    best = int(np.argmax(sharpes))
    found = deflated_sharpe(noise[:, best].tolist(), [each for each in sharpes if each is not None], 200)
    assert found is not None
    assert found.probabilistic > 0.98  # alone it would look convincing
    assert found.deflated < 0.7
    assert found.sharpe_annual == pytest.approx(found.sharpe * math.sqrt(365))
    assert found.expected_maximum_annual == pytest.approx(found.expected_maximum * math.sqrt(365))
    good = (noise[:, 0] + 0.5).tolist()
    known = deflated_sharpe(good, [each for each in sharpes if each is not None], 200)
    assert known is not None
    assert known.deflated > 0.999
    assert (known.days, known.trials) == (250, 200)


@given(
    daily=st.lists(st.integers(-1000, 1000), min_size=3, max_size=40),
    factor=st.sampled_from([0.001, 0.5, 2.0, 1e6]),
    trials=st.integers(2, 500),
)
def test_money_serves_as_well_as_returns_and_more_tries_never_help(
    daily: list[int], factor: float, trials: int
) -> None:
    sharpes = [-0.1, 0.0, 0.2]
    plain = deflated_sharpe(daily, sharpes, trials)
    scaled = deflated_sharpe([factor * day for day in daily], sharpes, trials)
    assert (plain is None) == (scaled is None)
    if plain and scaled:
        assert scaled.deflated == pytest.approx(plain.deflated, abs=1e-9)
        more = deflated_sharpe(daily, sharpes, trials + 1)
        assert more is not None
        assert more.deflated <= plain.deflated + 1e-12
        assert plain.deflated <= plain.probabilistic + 1e-12


def test_where_the_ratio_is_undefined_there_is_none() -> None:
    assert daily_sharpe([1.0]) is None
    assert daily_sharpe([2.0, 2.0]) is None
    assert deflated_sharpe([0.0, 0.0], [0.1, 0.2], 9) is None
    assert deflated_sharpe([0.0, 0.0, 1.0], [0.4], 1) is not None  # the only one is judged by its own error
    assert probabilistic_sharpe(0.1, 0.0, 1, 0, 3) is None
    assert probabilistic_sharpe(1.0, 0.0, 10, 1, 1) is None  # no variance is left


# --- cross-validation -----------------------------------------------------------------------------------------------


def test_one_that_is_better_everywhere_is_not_overfitted() -> None:
    daily = np.random.default_rng(3).normal(size=(64, 20))
    daily[:, 13] += 5
    found = probability_of_overfitting(daily)
    assert found is not None
    assert found.probability == 0
    assert found.loss_probability == 0
    assert (found.splits, found.blocks, found.days, found.candidates) == (12_870, 16, 64, 20)
    assert set(found.logits) == {math.log(20 / 21 / (1 - 20 / 21))}  # first of 20, on every way


def test_candidates_that_each_fit_one_half_are_nothing_but_overfitted() -> None:
    """For each way to cut eight days in halves one candidate wins all of the one and loses all of the other."""
    ways = [way for way in range(256) if way.bit_count() == 4]
    jitter = np.array([0.1, -0.1, 0.2, -0.2, 0.15, -0.15, 0.05, -0.05])[:, None]
    daily = np.array([[1.0 if way >> day & 1 else -1.0 for way in ways] for day in range(8)]) + jitter
    found = probability_of_overfitting(daily)
    assert found is not None
    assert (found.splits, found.candidates) == (70, 70)
    assert found.probability == 1
    assert found.loss_probability == 1
    assert min(found.in_sample) > 0 > max(found.out_of_sample)


def test_noise_is_overfitted_in_half_of_the_ways() -> None:
    noise = np.random.default_rng(5)
    probabilities = []
    for _ in range(60):
        found = probability_of_overfitting(noise.normal(size=(40, 10)), blocks=8)
        assert found is not None
        probabilities.append(found.probability)
        assert found.slope is not None
    assert fmean(probabilities) == pytest.approx(0.5, abs=0.07)


def test_the_way_it_is_computed_agrees_with_the_obvious_one() -> None:
    """Five candidates, one that never trades among them, over eleven days: blocks of unequal size."""
    daily = np.random.default_rng(11).normal(size=(11, 5))
    daily[:, 3] = 0
    daily[:9, 4] = 0
    found = probability_of_overfitting(daily, blocks=4)
    assert found is not None
    parts = np.array_split(np.arange(11), 4)
    for way, (one, two) in enumerate([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]):
        inside = np.concatenate([parts[one], parts[two]])
        outside = np.setdiff1d(np.arange(11), inside)
        best = int(np.argmax(plain_sharpes(daily[inside])))
        reached = plain_sharpes(daily[outside])
        rank = (sum(reached < reached[best]) + (sum(reached == reached[best]) + 1) / 2) / 6
        assert found.in_sample[way] == pytest.approx(plain_sharpes(daily[inside])[best])
        assert found.out_of_sample[way] == pytest.approx(reached[best])
        assert found.logits[way] == pytest.approx(math.log(rank / (1 - rank)))
    line = np.polyfit(found.in_sample, found.out_of_sample, 1)
    assert (found.slope, found.intercept) == pytest.approx(tuple(line))


def plain_sharpes(days: np.ndarray) -> np.ndarray:
    return np.array([0.0 if not column.any() else column.mean() / column.std(ddof=1) for column in days.T])


def test_many_candidates_are_taken_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    daily = np.random.default_rng(2).normal(size=(20, 6))
    at_once = probability_of_overfitting(daily, blocks=8)
    monkeypatch.setattr("tuning_worker.statistics.overfitting._CELLS", 60)
    in_portions = probability_of_overfitting(daily, blocks=8)
    assert at_once is not None
    assert in_portions is not None
    assert in_portions.logits == at_once.logits
    assert in_portions.out_of_sample == pytest.approx(at_once.out_of_sample)


def test_a_choice_among_those_that_hardly_trade_is_no_skill() -> None:
    """Three never trade, one loses a day: the best is any of the three, or of all where the loss is out of sample."""
    daily = np.zeros((8, 4))
    daily[2, 1] = -1
    found = probability_of_overfitting(daily)
    assert found is not None
    assert set(found.in_sample) == {0}
    assert (found.slope, found.intercept) == (None, None)
    assert found.loss_probability == 0.5 / 4  # it is one of four, on half of the ways
    assert found.probability == 0.5 + 0.5 / 4  # level with all where the loss is in sample
    assert set(found.logits) == {0.0}  # all of them are the choice, and their mean rank is the median


@pytest.mark.parametrize("by_profit", [False, True])
def test_the_order_of_the_candidates_says_nothing(by_profit: bool) -> None:  # noqa: FBT001
    """Forty with one trade each: all of one half's have the same Sharpe ratio there, but for how it was summed."""
    noise = np.random.default_rng(4)
    daily = np.zeros((12, 40))
    daily[noise.integers(0, 12, 40), np.arange(40)] = noise.normal(size=40) * 10.0 ** noise.integers(-3, 4, 40)
    found = probability_of_overfitting(daily, by_profit=by_profit)
    shuffled = probability_of_overfitting(daily[:, ::-1].copy(), by_profit=by_profit)
    assert found is not None
    assert shuffled is not None
    assert shuffled.probability == pytest.approx(found.probability, abs=1e-12)
    assert shuffled.loss_probability == pytest.approx(found.loss_probability, abs=1e-12)
    assert shuffled.logits == pytest.approx(found.logits, abs=1e-9)


def test_where_profit_is_tuned_the_choice_is_by_profit() -> None:
    """One earns a hundred on half of the days, the other one a steady unit: more profit, and the lower ratio."""
    daily = np.array([[100.0 + day, 1.0 + day / 1000] if day % 2 else [-50.0, 1.0 + day / 1000] for day in range(8)])
    by_ratio, by_profit = (probability_of_overfitting(daily, by_profit=each) for each in (False, True))
    assert by_ratio is not None
    assert by_profit is not None
    assert by_ratio.probability == by_ratio.loss_probability == 0
    ways = [sum(chosen) for chosen in combinations([day % 2 for day in range(8)], 4)]  # good days in sample
    earns = [100 * good - 50 * (4 - good) > 4 for good in range(5)]
    assert by_profit.probability == np.mean([earns[good] != earns[4 - good] for good in ways])
    assert by_profit.in_sample[0] == pytest.approx((101 + 103 - 100) / 4)


def test_where_all_do_the_same_there_is_no_choice() -> None:
    assert probability_of_overfitting(np.zeros((8, 4))) is None


def test_too_few_days_or_candidates_say_nothing() -> None:
    assert probability_of_overfitting(np.ones((7, 4))) is None
    assert probability_of_overfitting(np.ones((20, 1))) is None


# --- the neighbourhood ----------------------------------------------------------------------------------------------


def around(*values: float) -> list[Evaluated]:
    return [Evaluated(g, {"x": 0.5 + g / 10}, value) for g, value in enumerate(values, start=1)]


BEST = Evaluated(0, {"x": 0.5}, 10.0)


def test_a_plateau_keeps_its_value_and_a_needle_does_not() -> None:
    plateau = find_neighbourhood(BEST, around(9, 9.5, 8, 0), "maximize", 3)
    assert plateau is not None
    assert (plateau.kept, plateau.worst) == (pytest.approx(0.9), pytest.approx(0.8))
    assert [each.g for each in plateau.neighbours] == [1, 2, 3]
    assert [each.distance for each in plateau.neighbours] == pytest.approx([0.1, 0.2, 0.3])
    needle = find_neighbourhood(BEST, around(-5, 0, 1), "maximize", 3)
    assert needle is not None
    assert (needle.kept, needle.worst) == (0, -0.5)


def test_where_less_is_better_a_neighbour_that_costs_twice_keeps_half() -> None:
    found = find_neighbourhood(BEST, around(20, 40), "minimize", 2)
    assert found is not None
    assert (found.kept, found.worst) == (0.375, 0.25)


def test_points_are_apart_by_all_their_parameters() -> None:
    best = Evaluated(0, {"x": 0.5, "kind": "a"}, 1.0)
    others = [
        Evaluated(3, {"x": 0.5, "kind": "b"}, 0.1),
        Evaluated(2, {"x": 0.9, "kind": "a"}, 0.2),
        Evaluated(4, {"x": 0.5, "kind": "a"}, 1.0),  # the best again
        Evaluated(5, {"x": 0.9, "kind": "a"}, 0.7),  # g 2 again
        Evaluated(1, {"kind": "a"}, 0.3),  # x is not active there
    ]
    found = find_neighbourhood(best, others, "maximize", 3)
    assert found is not None
    assert [each.g for each in found.neighbours] == [2, 1, 3]
    assert [each.distance for each in found.neighbours] == pytest.approx([0.4 / 2**0.5, 1 / 2**0.5, 1 / 2**0.5])
    assert find_neighbourhood(best, others, "maximize", 4) is None


def test_a_share_of_nothing_is_none() -> None:
    assert find_neighbourhood(Evaluated(0, {"x": 0.5}, 0.0), around(1, 2), "minimize", 2) is None
    assert find_neighbourhood(Evaluated(0, {"x": 0.5}, -1.0), around(-2, -3), "maximize", 2) is None
    assert find_neighbourhood(BEST, [], "maximize", 0) is None


# --- walking forward ------------------------------------------------------------------------------------------------


def span(count: int) -> list[date]:
    return [date(2026, 1, 1) + timedelta(days=number) for number in range(count)]


def sums(days: np.ndarray) -> np.ndarray:
    total: np.ndarray = days.sum(axis=0)
    return total


def test_each_fold_is_earned_by_the_best_of_what_was_before() -> None:
    days = span(5)
    tune = [[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]]
    first = [[5.0, -9.0, 0.0]]  # now the first candidate is ahead
    second = [[3.0, 1.0, 3.0], [1.0, 1.0, 1.0]]
    daily = np.array([*tune, *first, *second])
    found = walk_forward([10, 11, 12], days, daily, [days[2:3], days[3:]], 0, sums)
    assert found is not None
    assert [step.chosen for step in found.steps] == [11, 10]
    assert [step.earned for step in found.steps] == [-9, 4]
    assert [step.beaten for step in found.steps] == [0, 0.75]
    assert [(step.days_before, step.days) for step in found.steps] == [(2, 1), (3, 2)]
    assert (found.earned, found.days) == (-5, 3)
    assert found.efficiency == pytest.approx(-5 / (2 * 1 + 7 / 3 * 2))


@pytest.mark.parametrize(
    ("purge", "chosen", "days_before"),
    [(0, [1, 0], [2, 5]), (1, [1, 0], [2, 4]), (2, [1, 1], [2, 3]), (4, [1, 1], [2, 2])],
)
def test_the_days_just_before_a_fold_do_not_choose_for_it(
    purge: int, chosen: list[int], days_before: list[int]
) -> None:
    """Candidate 0 is ahead by the first fold's second day, which is two days before the second fold."""
    tune, folds = span(2), [span(10)[7:10], span(12)[10:]]
    daily = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 0.0], [9.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    found = walk_forward([0, 1], [*tune, *folds[0], *folds[1]], daily, folds, purge, sums)
    assert found is not None
    assert [step.chosen for step in found.steps] == chosen
    assert [step.days_before for step in found.steps] == days_before


def test_the_score_decides_and_none_has_an_undefined_one() -> None:
    days = span(3)
    daily = np.array([[1.0, 0.0], [3.0, 0.0], [1.0, 7.0]])
    lowest = walk_forward([0, 1], days, daily, [days[2:]], 0, lambda each: -each.sum(axis=0))
    undefined = walk_forward([0, 1], days, daily, [days[2:]], 0, lambda _: np.array([np.nan, 0.0]))
    assert lowest is not None
    assert undefined is not None
    assert lowest.steps == undefined.steps
    assert (lowest.steps[0].chosen, lowest.earned, lowest.efficiency) == (1, 7, None)


def test_without_folds_or_a_choice_there_is_no_walk() -> None:
    days = span(4)
    assert walk_forward([0, 1], days, np.ones((4, 2)), [], 0, sums) is None
    assert walk_forward([0], days, np.ones((4, 1)), [days[3:]], 0, sums) is None
