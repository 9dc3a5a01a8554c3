"""Which days a candidate is tuned on, validated on, and not shown at all: `tuning.evaluation`. Pure.

In the order of time: TUNE | purge | VALIDATION folds 1 … k | purge | HOLDOUT. The optimizer's value is from the tune
days; the validation days are measured beside it; the held-out days are loaded by `orch holdout` alone. Where days are
named, the parts may lie otherwise, e.g. so that each has calm days and wild ones: then there is no walk-forward.

Days are UTC days that have a row. Shares and counts are of those; the purge is in days of the calendar, so that a gap
in the data does its work: what keeps the market of one day from telling of another is time, not rows.
"""

from __future__ import annotations

import math
import re
from datetime import date
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from orchestrator.domain.shown import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAYS: Final = re.compile(r"([0-9]{1,5})d")
_TUNE: Final = 0.75
_MAX_DAYS: Final = 10_000


def _amount(value: object) -> object:
    """Read a share, a count of days or a list of dates."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value < 1:
            raise ValueError(f"a share is from 0 to below 1 (got {shown(value)}; days are written 5d)")
        return float(value)
    if isinstance(value, list | tuple):
        return tuple(_date(each) for each in value)
    if isinstance(value, str) and _DAYS.fullmatch(value):
        return value
    raise ValueError(f"is a share such as 0.2, days such as 5d, or a list of dates (got {shown(value)})")


def _date(value: object) -> date:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"a day is written like 2026-01-31 (got {shown(value)})") from None


Amount: TypeAlias = Annotated[float | str | tuple[date, ...], BeforeValidator(_amount)]
"""A share of all days, a count such as `5d`, or the days themselves."""


class SplitError(ValueError):
    """The days cannot be split as asked.

    Attributes:
        field: of `EvaluationSpec`, which asks for it.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class EvaluationSpec(BaseModel):
    """`{folds: 3, purge: 1, holdout: 0.2}`: how the days are split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tune: Amount | None = None
    """The first days: a share of all days, a count such as `30d`, or a list of dates. Not given: three quarters of what
    the holdout leaves, or without folds all of it."""
    folds: int = Field(default=1, ge=0, le=_MAX_DAYS, strict=True)
    """How many parts the days between are validated in. 0: those days are left out."""
    purge: int = Field(default=1, ge=0, le=_MAX_DAYS, strict=True)
    """Days of the calendar that are left out before and after the validation, and before the holdout; in walk-forward
    also before each fold, of what is chosen by."""
    holdout: Amount = 0.2
    """The last days: a share, a count, or a list of dates. No optimizer and no iteration sees them."""


class Split(BaseModel):
    """The UTC days of each part, each day in one of them.

    Attributes:
        tune: what the value is from.
        folds: the validation, in order; empty without.
        holdout: what only `orch holdout` loads.
        left_out: neither: purged, or not asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tune: tuple[date, ...] = Field(min_length=1)
    folds: tuple[tuple[date, ...], ...] = ()
    holdout: tuple[date, ...] = ()
    left_out: tuple[date, ...] = ()

    @property
    def validation(self) -> tuple[date, ...]:
        """The days of all folds."""
        return tuple(day for fold in self.folds for day in fold)

    @property
    def parts(self) -> dict[str, tuple[date, ...]]:
        """The days that are evaluated on by themselves, by the field of `EvaluationSpec` that asks for them."""
        parts = {"tune": self.tune, "folds": self.validation, "holdout": self.holdout}
        return {field: days for field, days in parts.items() if days}

    @property
    def is_forward(self) -> bool:
        """Whether all that is validated comes after all that is tuned on; days that are named need not."""
        return not self.folds or max(self.tune) < min(self.validation)

    def held_out(self) -> Split:
        """The split of one who looks: the held-out days as the only ones."""
        return Split(tune=self.holdout)


def split_days(days: Sequence[date], wanted: EvaluationSpec) -> Split:
    """Cut days into their parts.

    Args:
        days: those that there are, ascending.
        wanted: how.

    Raises:
        SplitError: a part comes out empty, or dates are given that are not there, in two parts or within the purge.
    """
    holdout = _part("holdout", wanted.holdout, days, len(days), last=True)
    rest = [day for day in days if day not in holdout and not _near(day, holdout, wanted.purge)]
    if isinstance(wanted.tune, tuple):
        tune = _listed("tune", wanted.tune, days)
        _check_apart(tune, holdout, wanted.purge)
    elif wanted.tune is None:
        tune = _part("tune", _TUNE if wanted.folds else 1.0, rest, len(rest))
    else:
        tune = _part("tune", wanted.tune, rest, len(days))
    if not tune:
        raise SplitError("tune", f"no day is left to tune on: of {_days(len(days))}, {len(holdout)} are held out")
    between = [day for day in rest if day not in tune and not _near(day, tune, wanted.purge)] if wanted.folds else []
    if len(between) < wanted.folds:
        raise SplitError(
            "folds",
            f"of {_days(len(days))}, {len(tune)} are tuned on, {len(holdout)} are held out and "
            f"{len(days) - len(tune) - len(holdout) - len(between)} purged: "
            f"that leaves {len(between)} for {wanted.folds} validation folds",
        )
    used = {*tune, *holdout, *between}
    return Split(
        tune=tuple(tune),
        folds=tuple(
            tuple(between[len(between) * fold // wanted.folds : len(between) * (fold + 1) // wanted.folds])
            for fold in range(wanted.folds)
        ),
        holdout=tuple(holdout),
        left_out=tuple(day for day in days if day not in used),
    )


def fold_ends(days: Sequence[date], folds: int) -> tuple[date, ...]:
    """Return the last day of each of so many parts, as long as each other, or of as many as there are days."""
    folds = min(folds, len(days))
    return tuple(days[len(days) * fold // folds - 1] for fold in range(1, folds + 1))


def _part(
    field: str, amount: float | str | tuple[date, ...], days: Sequence[date], whole: int, *, last: bool = False
) -> list[date]:
    """Return the days of an amount: the first or the last ones, where it does not name them; a share is of `whole`."""
    if isinstance(amount, tuple):
        return _listed(field, amount, days)
    if isinstance(amount, str):
        count = int(amount.removesuffix("d"))
    else:  # a share, however small, is a day at least; and 0.2 of 15 days is 3, not 2.9999999999999996
        count = min(max(math.floor(amount * whole + 1e-9), 1), len(days)) if amount else 0
    if count > len(days):
        raise SplitError(field, f"asks for {_days(count)}, and there are {len(days)} to choose from")
    return list(days[len(days) - count :] if last else days[:count])


def _listed(field: str, wanted: Sequence[date], days: Sequence[date]) -> list[date]:
    if missing := sorted(set(wanted) - set(days)):
        raise SplitError(
            field, f"there is no row of {missing[0]}" + (f", nor of {len(missing) - 1} more" if missing[1:] else "")
        )
    return sorted(set(wanted))


def _check_apart(tune: Sequence[date], holdout: Sequence[date], purge: int) -> None:
    for day in tune:
        if day in holdout:
            raise SplitError("tune", f"{day} is held out")
        if _near(day, holdout, purge):
            raise SplitError("tune", f"{day} is within {_days(purge)} of a held-out day: leave it out, or purge less")


def _near(day: date, others: Sequence[date], purge: int) -> bool:
    return any(abs((day - other).days) <= purge for other in others)


def _days(count: int) -> str:
    return f"{count} {'day' if count == 1 else 'days'}"
