"""The Sharpe ratio of the best of many tries, and how likely it is more than luck.

Sources:
    Bailey & López de Prado 2012, "The Sharpe Ratio Efficient Frontier", J. of Risk 15(2): the probabilistic one.
    Bailey & López de Prado 2014, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and
    Non-Normality", J. of Portfolio Management 40(5): the expected maximum and the deflated one.

The expected maximum takes the tries as independent, and their ratios' variance as it is measured. A search that learns
breaks that: it concentrates on what looked good, and there is hardly a variance among tries that are nearly the same,
although each of them owes as much to luck as before. So the variance is at least that of one worthless ratio by its
own error, 1 / (days - 1) (2012, equation 11, where the true ratio is 0, whatever the distribution), and each try counts
as one. Of tries that resemble each other both are on the safe side; to count fewer by their average correlation (2014,
appendix 3) is not, where a search climbs.

It is no bound for a search that climbs in many dimensions: it can find more than as many blind tries would. Worthless
landscapes on which that happens are simulated in `tests/unit/test_searched_luck.py`; the probability of overfitting is
high on these, and a holdout knows of none of it.

Ratios are those of one day's returns, not annualised, but where the name says so. A ratio does not change when all
returns are multiplied by a number, so profits and losses in money serve as well as returns on a constant capital.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance
from typing import TYPE_CHECKING, Final

from tuning_worker.statistics.sharpe import ANNUAL, daily_sharpe

if TYPE_CHECKING:
    from collections.abc import Sequence

_EULER: Final = 0.5772156649015329
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class DeflatedSharpe:
    """The best's Sharpe ratio, judged by how many were tried.

    Attributes:
        sharpe: of a day.
        sharpe_annual: the same times √365.
        days: how many it is from.
        skew: of the daily returns.
        kurtosis: of the daily returns; 3 for normal ones.
        trials: how many were tried.
        trial_variance: of the Sharpe ratios of a day among as many worthless tries: as measured of those tried, and at
            least what the error of a single one makes it.
        expected_maximum: the Sharpe ratio, of a day, that the best of as many worthless ones is expected to show.
        expected_maximum_annual: the same times √365.
        probabilistic: the probability that the true ratio is above 0, had it been the only one tried.
        deflated: the probability that it is above `expected_maximum`.
    """

    sharpe: float
    sharpe_annual: float
    days: int
    skew: float
    kurtosis: float
    trials: int
    trial_variance: float
    expected_maximum: float
    expected_maximum_annual: float
    probabilistic: float
    deflated: float


def probabilistic_sharpe(sharpe: float, benchmark: float, days: int, skew: float, kurtosis: float) -> float | None:
    """Return the probability that the true Sharpe ratio is above the benchmark (2012, equation 11).

    Args:
        sharpe: that was seen.
        benchmark: to be above of.
        days: that it was seen on.
        skew: of the returns; 0 for normal ones.
        kurtosis: of the returns; 3 for normal ones.

    Returns:
        None for less than two days, or where the moments leave the estimate no variance.
    """
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if days < 2 or spread <= 0:  # noqa: PLR2004 - of one day nothing can be said
        return None
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt((days - 1) / spread))


def expected_maximum(trials: int, trial_variance: float) -> float:
    """Return the highest Sharpe ratio that this many worthless tries are expected to show (2014, equation 2).

    Args:
        trials: how many; of one, the expectation is 0.
        trial_variance: of their Sharpe ratios.
    """
    if trials < 2:  # noqa: PLR2004 - one is not a choice
        return 0.0
    usual, further = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(trial_variance) * ((1 - _EULER) * usual + _EULER * further)


def deflated_sharpe(daily: Sequence[float], trial_sharpes: Sequence[float], trials: int) -> DeflatedSharpe | None:
    """Deflate the Sharpe ratio of the one that was chosen.

    Args:
        daily: its profit and loss of each day, days without a trade among them.
        trial_sharpes: of those tried, where they are defined, of a day; its own among them.
        trials: how many were tried, with those whose ratio is not defined or not known.

    Returns:
        None where its Sharpe ratio is undefined, or its moments leave it no variance.
    """
    sharpe = daily_sharpe(daily)
    if sharpe is None:
        return None
    skew, kurtosis = moments(daily)
    measured = variance(trial_sharpes) if len(trial_sharpes) > 1 else 0.0
    spread = max(measured, 1 / (len(daily) - 1))
    benchmark = expected_maximum(trials, spread)
    probabilistic = probabilistic_sharpe(sharpe, 0.0, len(daily), skew, kurtosis)
    deflated = probabilistic_sharpe(sharpe, benchmark, len(daily), skew, kurtosis)
    if probabilistic is None or deflated is None:
        return None
    return DeflatedSharpe(
        sharpe=sharpe,
        sharpe_annual=sharpe * ANNUAL,
        days=len(daily),
        skew=skew,
        kurtosis=kurtosis,
        trials=trials,
        trial_variance=spread,
        expected_maximum=benchmark,
        expected_maximum_annual=benchmark * ANNUAL,
        probabilistic=probabilistic,
        deflated=deflated,
    )


def moments(daily: Sequence[float]) -> tuple[float, float]:
    """Return skewness and kurtosis (population moments; 0 and 3 for a normal distribution) of days not all alike."""
    mean = fmean(daily)
    second, third, fourth = (fmean((day - mean) ** power for day in daily) for power in (2, 3, 4))
    return third / second**1.5, fourth / second**2
