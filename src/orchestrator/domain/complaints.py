"""Pydantic's errors in plain sentences: what must stand there, what stands there, what was probably meant."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.domain.annotations import Spot, find_spot
from orchestrator.domain.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]

_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping (key: value)",
    "mapping_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}
_LIMITS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
}
_KEY_MARK = "[key]"  # how pydantic's locations say that the key is wrong, not the value
_CLOSE = 0.6


@dataclass(frozen=True, slots=True)
class Complaint:
    """One problem of a mapping: the keys that lead to it, and whether the last of them itself is what is wrong."""

    path: Path
    message: str
    at_key: bool = False


def explain(error: ValidationError, model: type[BaseModel], data: Any) -> list[Complaint]:
    """Return every problem that pydantic found when it read `data` as `model`, without repetition."""
    details = [detail for detail in error.errors(include_url=False) if not _is_echo(detail)]
    kinds: dict[Path, list[str]] = {}
    for detail in details:
        if detail["type"] in _KINDS:
            kinds.setdefault(_find_path(detail["loc"], data), []).append(_KINDS[detail["type"]])
    # A union's members each complain of the same value.
    return list(dict.fromkeys(_complaint(detail, model, data, kinds) for detail in details))


def nearest(word: str, options: Iterable[str]) -> str | None:
    """Return the option that was probably meant, or None."""
    plain = {_plain(option): option for option in options}
    found = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=_CLOSE)
    return plain[found[0]] if found else None


def unknown_key(key: str, value: Any, spot: Spot) -> str:
    """Return the sentence for a key that nothing reads."""
    if key in spot.planned:
        return "is not supported yet; leave it out"
    keys = spot.keys
    meant = nearest(key, keys)
    hint = f"did you mean {meant!r}?" if meant else f"the keys here are {', '.join(keys) or 'others'}"
    return f"unknown key; {hint}" if spot.hidden or keys.get(meant or "") else f"unknown key{_got(value)}; {hint}"


def _complaint(detail: ErrorDetails, model: type[BaseModel], data: Any, kinds: Mapping[Path, list[str]]) -> Complaint:
    location, kind, value = detail["loc"], detail["type"], detail["input"]
    if kind == "extra_forbidden":
        message = unknown_key(str(location[-1]), value, find_spot(model, location[:-1]))
        return Complaint(_find_path(location, data), message, at_key=True)
    if kind == "missing":
        return _missing(location, data)
    spot = find_spot(model, location)
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _bad_tag(detail, spot, _find_path(location, data))
    at_key = location[-1:] == (_KEY_MARK,)
    path = _find_path(location[:-1] if at_key else location, data)
    if kind in _KINDS:
        message = f"must be {_either(dict.fromkeys(kinds[path]))}{_got(value, spot, _quoting(kind, value))}"
    else:
        message = _sentence(detail, spot)
    return Complaint(path, message, at_key)


def _sentence(detail: ErrorDetails, spot: Spot) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind in _LIMITS:
        limits = {name: f"{limit:,}" if isinstance(limit, int) else limit for name, limit in context.items()}
        return _LIMITS[kind].format(**limits) + _got(value, spot)
    if kind in {"too_short", "too_long"}:
        least_or_most, limit = ("least", "min_length") if kind == "too_short" else ("most", "max_length")
        return f"must have at {least_or_most} {_entries(context[limit])} (got {len(value)})"
    if kind in {"literal_error", "enum"}:
        return f"must be {context['expected']}{_got(value, spot)}{_hint(value, _quoted(context['expected']))}"
    message = str(context.get("error") or detail["msg"].replace("Input should be", "must be"))
    is_said = isinstance(value, dict | list | tuple) or "(got " in message
    return message if is_said else message + _got(value, spot)


def _missing(location: Path, data: Any) -> Complaint:
    key, path = location[-1], _find_path(location[:-1], data)
    if isinstance(key, int):
        return Complaint(path, f"must have at least {_entries(key + 1)}")
    return Complaint((*path, key), "is required")


def _bad_tag(detail: ErrorDetails, spot: Spot, path: Path) -> Complaint:
    context = detail["ctx"]
    discriminator = context["discriminator"].strip("'")
    here, options = (*path, discriminator), spot.tags(discriminator)
    if detail["type"] == "union_tag_not_found":
        return Complaint(here, f"is required: {_either(options)}" if options else "is required")
    tag = detail["input"].get(discriminator)
    return Complaint(here, f"must be {_either(options)}{_got(tag, spot)}{_hint(tag, options)}")


def _find_path(location: Path, data: Any) -> Path:
    """Return the part of a location that the data has: a location also names members of unions."""
    if not location:
        return ()
    head, rest = location[0], location[1:]
    without = _find_path(rest, data)
    is_there = head in data if isinstance(data, dict) else isinstance(data, list) and head in range(len(data))
    if not is_there:
        return without
    within = (head, *_find_path(rest, data[head]))
    return within if len(within) >= len(without) else without


def _is_echo(detail: ErrorDetails) -> bool:
    """Tell whether a list is only too short because entries of it were refused, each with an error of its own."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def _got(value: Any, spot: Spot | None = None, hint: str = "") -> str:
    if spot is not None and spot.hidden:
        return hint and f" ({hint})"
    return f" (got {shown(value)}; {hint})" if hint else f" (got {shown(value)})"


def _quoting(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, int | float):
        return "put it in quotes"
    if kind in {"int_type", "float_type"} and isinstance(value, str):
        if re.fullmatch(r"[0-9]+(_[0-9]+)+", value):
            return "write it without '_'"
        if re.fullmatch(r"[-+]?[0-9.]+", value):
            return "write it without quotes"
    return ""


def _hint(value: Any, options: Iterable[str]) -> str:
    meant = nearest(value, options) if isinstance(value, str) else None
    return f"; did you mean {meant!r}?" if meant else ""


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _either(options: Iterable[str]) -> str:
    *others, last = options
    return f"{', '.join(others)} or {last}" if others else last


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_")
