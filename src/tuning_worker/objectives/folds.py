"""An evaluation that tells how it is going, fold by fold, and is stopped where it is hopeless."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING

from tuning_worker.objectives.metrics import running
from tuning_worker.objectives.protocol import EvaluationFailed
from tuning_worker.pruner import MAX_FOLDS

if TYPE_CHECKING:
    from tuning_worker.objectives.protocol import Folds, Measurement, Metrics
    from tuning_worker.pruner import Bars, Direction


class Pruned(Exception):  # noqa: N818 - a verdict on an iteration, like EvaluationFailed
    """It was stopped, and this is why.

    Attributes:
        message: a sentence.
        values: of the metric, after each fold.
    """

    def __init__(self, message: str, values: list[float | None]) -> None:
        super().__init__(message)
        self.message, self.values = message, values


def follow(
    found: Metrics | Measurement | Folds, bars: Bars, metric: str, direction: Direction
) -> tuple[Metrics | Measurement, list[float | None]]:
    """Have an evaluation go on to its end, as long as it reaches its bars.

    Args:
        found: what `Objective.evaluate` returned; with nothing to follow in it, it is the result.
        bars: what must be reached.
        metric: the objective's own.
        direction: …

    Returns:
        The result, and the metric after each fold before it.

    Raises:
        Pruned: a bar was not reached. The evaluation is closed: its `finally` blocks have run.
        EvaluationFailed: `bad_output`, `missing_metric`: what it told of a fold is none of its metrics.
        BaseException: whatever the user's code raises.
    """
    if not isinstance(found, Generator):
        return found, []
    values: list[float | None] = []
    with closing(found):
        while True:
            try:
                told = next(found)
            except StopIteration as end:
                return end.value, values
            if len(values) == MAX_FOLDS:
                raise EvaluationFailed("bad_output", f"more than {MAX_FOLDS} folds, which are too many to record")
            value = running(told, metric)
            values.append(value)
            bar = bars[len(values) - 1] if len(values) <= len(bars) else None
            if bar is not None and value is not None and not bar.is_reached(value, direction):
                break
    less = "more" if direction == "maximize" else "less"
    raise Pruned(
        f"{metric} was {value:g} after fold {len(values)}, and the best {bar.rank:,} of {bar.of:,} iterations before "
        f"had {bar.value:g} or {less}",
        values,
    )
