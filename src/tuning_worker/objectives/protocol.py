"""What an objective is, and what the section `objective:` of a tuning config can do before there is one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import override

from tuning_worker.pruner import Pruner, PrunerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from tuning_worker.days import Split

Params: TypeAlias = Mapping[str, int | float | str | bool]
"""A suggestion: the value of every parameter, by its name."""

Metrics: TypeAlias = dict[str, float | int | None]
"""What an evaluation measured, by name. A metric that is undefined is None, never 0."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What an objective measured, where the metrics alone do not tell all.

    Attributes:
        metrics: all of them, the objective's own among them.
        daily: the profit or loss of each UTC day (ISO 8601, `2026-01-31`), in the quote currency. Finite numbers.
            It is kept in the iteration's record, not in the CSV.
        capital: what the profits are to be divided by to become returns, in the quote currency.
    """

    metrics: Metrics
    daily: Mapping[str, float] | None = None
    capital: float | None = None


Folds: TypeAlias = Generator[Metrics, None, Metrics | Measurement]
"""An evaluation that stops after each fold but the last to tell all metrics so far; at its end it returns the result.
What the result is does not depend on the folds. Whoever follows it may close it half-way."""


class Objective(Protocol):
    """Turns parameters into metrics. It lives in the evaluator's process, and is asked one thing at a time."""

    def evaluate(self, params: Params) -> Metrics | Measurement | Folds:
        """Measure one suggestion.

        Returns:
            All metrics, the objective's own among them; or what comes to them fold by fold.

        Raises:
            EvaluationFailed: the iteration is FAILED for the reason that it carries.
            BaseException: anything else makes it FAILED too, with the name of its class as the kind.
        """
        ...


_KIND_LIMIT: Final = 200
_MESSAGE_LIMIT: Final = 2 * 1024
_DETAIL_LIMIT: Final = 16 * 1024
_MAX_OBJECTIVES: Final = 16


class EvaluationFailed(Exception):  # noqa: N818 - it is a verdict on an iteration, and the name that records use
    """An iteration has no value, and this is why.

    Attributes:
        kind: one word to count by: the class of an exception, `exit:3`, `signal:SIGSEGV`, `timeout`, `launch`,
            `bad_output`, `missing_metric`, `not_finite`.
        message: a sentence, at most 2 KiB.
        detail: what helps to find the cause (a traceback, the last output), at most 16 KiB, or None.
        metrics: what was measured nevertheless.
    """

    def __init__(self, kind: str, message: str, detail: str | None = None, metrics: Metrics | None = None) -> None:
        super().__init__(kind, message)
        self.kind = _clipped(kind, _KIND_LIMIT)
        self.message = _clipped(message, _MESSAGE_LIMIT)
        self.detail = None if detail is None else _clipped(detail, _DETAIL_LIMIT)
        self.metrics: Metrics = metrics or {}

    @override
    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def _clipped(text: str, limit: int) -> str:
    """Cut the middle out of what is beyond `limit` bytes of UTF-8, and spell out what cannot be written in UTF-8."""
    raw = text.encode(errors="backslashreplace")
    if len(raw) > limit:
        head = limit // 4  # the end tells more than the beginning: there is the line that raised
        mark = f" [… {len(raw) - limit} bytes or more left out …] ".encode()
        raw = raw[:head] + mark + raw[len(raw) - (limit - head - len(mark)) :]
    return raw.decode(errors="ignore")


class ObjectiveSpec(BaseModel):
    """The section `objective:` of a tuning config. Each kind of objective adds its own fields and a `kind`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(min_length=1, max_length=200)
    """The metric that is tuned; with `metrics` the first of them."""
    direction: Literal["maximize", "minimize"]
    metrics: dict[Annotated[str, Field(min_length=1, max_length=200)], Literal["maximize", "minimize"]] | None = Field(
        default=None, min_length=2, max_length=_MAX_OBJECTIVES
    )
    """Several metrics that are tuned at once, each with its direction, in place of `metric` and `direction`."""

    @property
    def objectives(self) -> Mapping[str, Literal["maximize", "minimize"]]:
        """Every metric that is tuned, with its direction."""
        return self.metrics or {self.metric: self.direction}

    @model_validator(mode="before")
    @classmethod
    def _first_of_several(cls, data: Any) -> Any:
        several = data.get("metrics") if isinstance(data, dict) else None
        if not isinstance(several, dict) or not several:
            return data
        first = dict(zip(("metric", "direction"), next(iter(several.items())), strict=True))
        if {**first, **data} != {**data, **first}:
            raise ValueError("give metric and direction, or metrics with several of them, and not both")
        return {**data, **first}

    @abstractmethod
    def build(self, base: Path) -> Objective:
        """Make the objective. Called in the evaluator's process only, as it may run code of the user.

        Args:
            base: the folder of the tuning config: the user's modules and files are looked for there.
        """

    @abstractmethod
    def check(self, base: Path, names: tuple[str, ...]) -> list[str]:
        """Look for what would make every iteration fail, cheaply, at submit.

        Args:
            base: the folder of the tuning config.
            names: the parameters of the search space.

        Returns:
            A sentence for each problem.
        """

    def check_values(self, extremes: Mapping[str, tuple[int | float | str | bool, ...]]) -> list[tuple[str, str]]:  # noqa: ARG002 - for those that know
        """Look for values of parameters that would make iterations fail, cheaply, at submit.

        Args:
            extremes: of each parameter the values between which all others are.

        Returns:
            A parameter and a sentence for each problem.
        """
        return []

    def find_days(self, base: Path) -> Sequence[date] | None:  # noqa: ARG002 - for those that have some
        """Return the UTC days that there are data of, ascending; None where this objective cannot be split by days.

        One that can has a field `split: Split | None`, and evaluates on the days that it names and on no others.

        Args:
            base: the folder of the tuning config.
        """
        return None

    def check_days(self, base: Path, parts: Mapping[str, Sequence[date]]) -> Mapping[str, str]:  # noqa: ARG002 - as above
        """Look for days that nothing could be evaluated on, which would come out when all iterations have run only.

        Args:
            base: the folder of the tuning config.
            parts: by name, days of `find_days` that are evaluated on by themselves.

        Returns:
            A sentence for each part that is wrong. It tells of the days and of what is missing there, of no content:
            some of them are held out.
        """
        return {}

    def folded(self, pruner: Pruner, base: Path, split: Split | None) -> dict[str, Any]:  # noqa: ARG002 - as above
        """Return the fields that this section needs to be evaluated fold by fold.

        Args:
            pruner: what asks for it.
            base: the folder of the tuning config.
            split: how the days are split, if they are.

        Raises:
            PrunerError: it cannot, or not so.
        """
        raise PrunerError("an objective of this kind cannot be stopped half-way: leave pruner out")

    @abstractmethod
    def resolved(self, base: Path) -> dict[str, Any]:
        """Return this section as JSON that means the same in another working directory; it loads as a spec again."""
