"""What may be asked of results: a field by its name, and conditions such as `net_pnl > 0`."""

from __future__ import annotations

import json
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.domain.complaints import nearest
from orchestrator.domain.shown import printable, shown
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Result = Mapping[str, Any]
    Field = Callable[[Result], Any]

FIXED = ("g", "worker_id", "iteration", "status", "value", "timestamp", "reason")
"""What every result has beside its parameters and metrics."""

_CONDITION = re.compile(r"(?P<name>.+?)\s*(?P<operator><=|>=|==|!=|<|>|=)\s*(?P<value>.*)", re.DOTALL)
_QUOTED = re.compile(r"'(?P<text>[^']*)'")
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}


_BY_SIZE = ("<", "<=", ">", ">=")


def read_fields(results: Iterable[Result]) -> dict[str, Field]:
    """Return how to find what these results have, by every name that it goes by.

    A name is one of `FIXED`, else a metric's, else a parameter's; `metrics_NAME` and `params_NAME` are exact.
    """
    groups: dict[str, dict[str, None]] = {"params": {}, "metrics": {}}
    for result in results:
        for group, names in groups.items():
            names.update(dict.fromkeys(result[group]))
    fields: dict[str, Field] = {}
    for group, names in groups.items():
        fields |= {name: _named(group, name) for name in names}
    for group, names in groups.items():
        fields |= {f"{group}_{name}": _named(group, name) for name in names}
    return fields | {name: operator.itemgetter(name) for name in FIXED}


def _named(group: str, name: str) -> Field:
    return lambda result: result[group].get(name)


def find_field(fields: Mapping[str, Field], name: str, origin: str) -> Field:
    """Return the field of this name.

    Args:
        fields: from `read_fields`.
        name: as the user wrote it.
        origin: what the user wrote it in, e.g. `--by x`.

    Raises:
        UsageError: there is none.
    """
    if name in fields:
        return fields[name]
    meant = nearest(name, fields)
    short = [each for each in fields if not each.startswith(("params_", "metrics_"))]
    hint = f"did you mean {shown(meant)}?" if meant else f"there are: {', '.join(map(printable, short))}"
    raise UsageError(f"{origin}: the results have no {shown(name)}; {hint}")


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a field with a value.

    Attributes:
        text: as the user wrote it.
        value: what JSON reads in it (a number, true, false, null, a text in quotes), else the text itself; single
            quotes are as good as double ones, as in a constraint.
        word: the value as it was written.
    """

    text: str
    name: str
    operator: str
    value: float | str | bool | None
    word: str

    def holds(self, field: Any) -> bool:
        """Tell whether it holds for this value of the field.

        What is undefined is only ever equal to `null`; a text and a number are never equal.
        """
        if field is None or self.value is None:
            is_same = field is None and self.value is None
            return is_same if self.operator in ("=", "==") else self.operator == "!=" and field is not None
        wanted = self.word if isinstance(field, str) and not isinstance(self.value, str) else self.value
        if _kind(field) is not _kind(wanted):
            return self.operator == "!="
        return _OPERATORS[self.operator](field, wanted)

    def check(self, values: Iterable[Any]) -> None:
        """Refuse a comparison by size that can hold for none of a field's values, as one of them with `1,000`.

        Raises:
            UsageError: the value is a text, and the field has numbers and no text.
        """
        kinds = {_kind(value) for value in values if value is not None}
        if isinstance(self.value, str) and self.operator in _BY_SIZE and float in kinds and str not in kinds:
            raise UsageError(
                f"--where {shown(self.text)}: {printable(self.name)} holds numbers, and {shown(self.word)} is none"
            )


def parse_condition(text: str) -> Condition:
    """Read `NAME OPERATOR VALUE`, where the operator is one of < <= > >= = == !=.

    Raises:
        UsageError: it is not of that form.
    """
    found = _CONDITION.fullmatch(text.strip())
    if not found or not found["value"]:
        raise UsageError(f"--where {shown(text)}: must be NAME OPERATOR VALUE, as in 'net_pnl > 0'")
    return Condition(text, found["name"], found["operator"], _value(found["value"]), found["value"])


def _value(word: str) -> float | str | bool | None:
    try:
        value = json.loads(word, parse_constant=lambda _: word)  # NaN and Infinity are words here
    except ValueError:
        quoted = _QUOTED.fullmatch(word)
        return quoted["text"] if quoted else word
    return word if isinstance(value, list | dict) else value


def _kind(value: object) -> type:
    return bool if isinstance(value, bool) else str if isinstance(value, str) else float
