"""What is wrong with rows of quotes: which file, row and column, the value there, and in how many rows more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that rows of a file break.

    Attributes:
        row: the first such row, from 1, the header not counted.
        column: its name.
        value: what stands there.
        what: what is wrong with it.
        count: how many rows break the rule.
    """

    row: int
    column: str
    value: str
    what: str
    count: int = 1

    def __str__(self) -> str:
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        return f"row {self.row}, column {self.column}: {self.value} {self.what}{more}"


def find(bad: npt.NDArray[np.bool_], column: str, values: npt.NDArray[Any], what: str) -> list[Finding]:
    """Return the finding that the rows marked `bad` are, if there are any."""
    count = int(np.count_nonzero(bad))
    row = int(np.argmax(bad)) if count else 0
    return [Finding(row + 1, column, str(values[row]), what, count)] if count else []


def odd_prices(column: str, values: npt.NDArray[np.float64]) -> list[Finding]:
    """Return what is wrong with prices, which are above zero."""
    return [
        *find(~np.isfinite(values), column, values, "is not a finite number"),
        *find(values <= 0, column, values, "must be above zero"),
    ]


def odd_sizes(column: str, values: npt.NDArray[np.float64]) -> list[Finding]:
    """Return what is wrong with sizes, which are not negative."""
    return [
        *find(~np.isfinite(values), column, values, "is not a finite number"),
        *find(values < 0, column, values, "must not be negative"),
    ]


def crossed(low: str, high: str, bids: npt.NDArray[np.float64], asks: npt.NDArray[np.float64]) -> list[Finding]:
    """Return the rows whose bid is above their ask."""
    return find(bids > asks, low, bids, f"is above {high}: the quote is crossed")
