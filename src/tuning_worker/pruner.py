"""When an iteration is hopeless: what its running value must reach, fold after fold, to go on. Pure.

An iteration's *bars* are settled when it begins, from the iterations that its worker knows to be finished. So how an
iteration ends follows from its parameters, its bars and the data, and not from what happens meanwhile.

The rule is like that of Optuna's `PercentilePruner` (at 50 % its `MedianPruner`, https://optuna.readthedocs.io) but for
two things. What was pruned before counts as worse: left out, only the better ones would be compared with, and the bars
would rise by themselves. And it is the value after a fold that counts, not the best one up to there: it is a total.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Direction: TypeAlias = Literal["maximize", "minimize"]

MAX_FOLDS: Final = 100
_MAX_STARTUP: Final = 1_000_000


class Pruner(BaseModel):
    """`{folds: 5, percentile: 50}`: early stopping of hopeless iterations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folds: int | None = Field(default=None, ge=2, le=MAX_FOLDS, strict=True)
    """In how many parts the days that are tuned on are played, in the order of time; 5 where not given. Not for
    `python`: a function yields as often as it likes."""
    warmup_folds: int = Field(default=1, ge=0, lt=MAX_FOLDS, strict=True)
    """After so many folds at the beginning nothing is stopped yet."""
    startup_iterations: int = Field(default=10, ge=1, le=_MAX_STARTUP, strict=True)
    """Nothing is stopped by fewer iterations than these to compare with."""
    percentile: float = Field(default=50, gt=0, lt=100, allow_inf_nan=False, strict=True)
    """An iteration goes on while it is among the best so many percent of the iterations before it."""


class PrunerError(ValueError):
    """The objective cannot be stopped half-way as asked.

    Attributes:
        fields: of `Pruner`, which ask for it; none where it is the section itself.
    """

    def __init__(self, message: str, *fields: str) -> None:
        super().__init__(message)
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Course:
    """How a finished iteration went.

    Attributes:
        values: after each fold but the one that ended it with a result; None where undefined.
        pruned: whether it was stopped after the last of them.
    """

    values: Sequence[float | None]
    pruned: bool


class Bar(NamedTuple):
    """What must be reached after a fold.

    Attributes:
        value: the worst that is good enough.
        rank: how many of the iterations before had this or better.
        of: how many iterations there were.
    """

    value: float
    rank: int
    of: int

    def is_reached(self, value: float, direction: Direction) -> bool:
        """Tell whether a running value is good enough to go on."""
        return value >= self.value if direction == "maximize" else value <= self.value


Bars: TypeAlias = "Sequence[Bar | None]"
"""By fold; None, as for every fold beyond, where nothing must be reached."""


def make_bars(courses: Iterable[Course], direction: Direction, pruner: Pruner) -> list[Bar | None]:
    """Return what an iteration must reach, given the courses of those before it, in any order."""
    known = list(courses)
    folds = max((len(course.values) for course in known), default=0)
    return [None if fold < pruner.warmup_folds else _bar(known, fold, direction, pruner) for fold in range(folds)]


def _bar(courses: Sequence[Course], fold: int, direction: Direction, pruner: Pruner) -> Bar | None:
    reached = (course.values[fold] for course in courses if len(course.values) > fold)
    values = sorted((value for value in reached if value is not None), reverse=direction == "maximize")
    gone = sum(course.pruned and len(course.values) <= fold for course in courses)
    count = len(values) + gone
    rank = math.ceil(count * pruner.percentile / 100)
    if count < pruner.startup_iterations or rank > len(values):
        return None
    return Bar(values[rank - 1], rank, count)


def read_bars(text: str | None) -> list[Bar | None]:
    """Read what a record keeps as JSON."""
    return [None if bar is None else Bar(*bar) for bar in json.loads(text or "[]")]
