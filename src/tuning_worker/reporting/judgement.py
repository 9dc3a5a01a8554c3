"""How far the best can be trusted, as the page says it: each statistic with its meaning, or why it is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import OrchError
from tuning_worker.reporting.values import MISSING, counted, number, share
from tuning_worker.review.judging import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tuning_worker.review.judging import Judgement
    from tuning_worker.review.recorded import RecordedSession


@dataclass(frozen=True, slots=True)
class Verdict:
    """One statistic.

    Attributes:
        title: its name.
        figure: its value in a word.
        meaning: what that says, or why it is missing.
        is_bad: it speaks against the best; None where it is missing.
        source: where it comes from.
    """

    title: str
    figure: str
    meaning: str
    is_bad: bool | None
    source: str


def find_judgement(recorded: RecordedSession) -> Judgement | str:
    """Return the statistics of a session, or a sentence why there are none."""
    try:
        return judge(recorded)
    except OrchError as error:  # another version recorded it
        return f"this version cannot read the session's tuning config: {error}"


def make_verdicts(judgement: Judgement) -> list[Verdict]:
    """Return all four statistics, those that are missing too."""
    verdicts = []
    for name, (title, source, tell) in _STATISTICS.items():
        found = getattr(judgement, name)
        if found is None:
            why = judgement.missing.get(name, "it could not be computed")
            verdicts.append(Verdict(title, MISSING, f"Missing: {why}.", None, source))
        else:
            figure, meaning, is_bad = tell(found)
            verdicts.append(Verdict(title, figure, meaning, is_bad, source))
    return verdicts


_Told = tuple[str, str, bool]
_SURE = 0.95
_COIN = 0.5


def _deflated(found: Any) -> _Told:
    meaning = (
        f"The probability that the true Sharpe ratio is above what the best of {found.trials:,} worthless tries shows "
        f"by luck. Observed: {number(found.sharpe_annual)} a year, from {counted(found.days, 'day')}; had it been the "
        f"only try, the probability of one above 0 would be {share(found.probabilistic)}."
    )
    return share(found.deflated), meaning, found.deflated < _SURE


def _overfitting(found: Any) -> _Told:
    meaning = (
        f"How often the candidate that is best on one half of the days is worse than the median on the other: "
        f"{found.splits:,} ways to split {counted(found.days, 'day')} among {found.candidates:,} candidates. "
        f"It lost money there in {share(found.loss_probability)} of them. A blind choice has 50 %."
    )
    return share(found.probability), meaning, found.probability >= _COIN


def _neighbourhood(found: Any) -> _Told:
    meaning = (
        f"The share of the best's value that the {len(found.neighbours)} points nearest to it keep (median; the worst "
        f"keeps {share(found.worst)}). Near 100 % it is a plateau, near 0 a needle that chance may have found."
    )
    return share(found.kept), meaning, found.kept < _COIN


def _walk_forward(found: Any) -> _Told:
    efficiency = found.efficiency
    meaning = (
        f"Chosen before each of {counted(len(found.steps), 'validation fold')} by the days before it, it earned "
        f"{number(found.earned)} on these {counted(found.days, 'day')}. The figure is what it earned a day, over what "
        "it had earned a day on the days that it was chosen by."
    )
    is_bad = found.earned <= 0 or (efficiency is not None and efficiency < _COIN)
    return share(efficiency), meaning, is_bad


_STATISTICS: Mapping[str, tuple[str, str, Callable[[Any], _Told]]] = {
    "deflated_sharpe": ("Deflated Sharpe ratio", "Bailey & López de Prado 2014", _deflated),
    "overfitting": ("Probability of overfitting", "Bailey, Borwein, López de Prado & Zhu 2017 (CSCV)", _overfitting),
    "neighbourhood": ("Neighbourhood", "the recorded points nearest to the best", _neighbourhood),
    "walk_forward": ("Walk-forward efficiency", "Pardo 2008", _walk_forward),
}
