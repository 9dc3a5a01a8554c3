"""A recorded iteration held against its evaluation again: what is the same, and what differs. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tuning_worker.evaluation.evaluator import Evaluation
    from tuning_worker.review.recorded import Trial

Figure: TypeAlias = "float | int | str | None"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure, then and now.

    Attributes:
        name: `status`, `value`, `metrics.NAME`, `daily.DAY` or `intermediate.FOLD`.
        recorded: as it was recorded; None where it is undefined or was not there.
        replayed: as it is now.
        same: whether they agree.
    """

    name: str
    recorded: Figure
    replayed: Figure
    same: bool


def compare(trial: Trial, outcome: Evaluation, tolerance: float) -> list[Comparison]:
    """Compare everything that an iteration measured.

    Args:
        trial: as recorded.
        outcome: of the same parameters, now.
        tolerance: the largest difference of two numbers that counts as none, as a share of the larger one; 0 asks for
            the same bits.
    """
    pairs: list[tuple[str, Figure, Figure]] = [
        ("status", trial.status, outcome.status),
        ("value", trial.value, outcome.value),
        *_of("metrics", trial.metrics, outcome.metrics),
        *_of("daily", trial.daily or {}, outcome.daily or {}),
        *_of("intermediate", _numbered(trial.intermediate or ()), _numbered(outcome.intermediate)),
    ]
    return [Comparison(name, then, now, _same(then, now, tolerance)) for name, then, now in pairs]


def _of(
    prefix: str, then: Mapping[str, float | int | None], now: Mapping[str, float | int | None]
) -> Iterable[tuple[str, Figure, Figure]]:
    for name in dict.fromkeys((*then, *now)):
        yield f"{prefix}.{name}", then.get(name), now.get(name)


def _numbered(values: Sequence[float | None]) -> dict[str, float | None]:
    return {str(fold): value for fold, value in enumerate(values, start=1)}


def _same(then: Figure, now: Figure, tolerance: float) -> bool:
    if isinstance(then, int | float) and isinstance(now, int | float):
        return then == now or math.isclose(then, now, rel_tol=tolerance)
    return then == now
