"""From what a person wrote, in a file, the environment or an option, to a setting's value.

Each parser raises ValueError with a sentence, without the value (it may be a secret), where that is not possible.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from orchestrator.frozen import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_NAME = 64
_MARKS_IN_NAMES = str.maketrans("", "", "._-")
_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DIGITS = 15
_LARGEST = 1 << 62  # fits Redis's and SQLite's integers, whatever is added


def text(value: object) -> str:
    """Accept any text but an empty one."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text")
    return value


def name(value: object) -> str:
    """Accept what can be part of a key and of a file's name."""
    given = text(value)
    plain = given[0] + given.translate(_MARKS_IN_NAMES)
    if len(given) > _LONGEST_NAME or not (plain.isascii() and plain.isalnum()):
        raise ValueError("must be 1 to 64 of letters, digits, '.', '_' and '-', starting with a letter or digit")
    return given


def redis_url(value: object) -> str | None:
    """Accept a URL that every client of ours understands alike; `embedded` is None."""
    url = text(value)
    if url == "embedded":
        return None
    if not _is_redis_url(url):
        raise ValueError("must be redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:///PATH?db=DB or embedded")
    return url


def _is_redis_url(url: str) -> bool:
    from urllib.parse import parse_qs, urlsplit  # noqa: PLC0415 - the embedded server, the usual case, needs none

    try:
        parts = urlsplit(url)
        database = parse_qs(parts.query).get("db", ["0"])[0]
        if parts.scheme == "unix":
            return parts.path.startswith("/") and not parts.hostname and database.isdecimal()
        database = database if "db=" in parts.query else parts.path.strip("/") or database
        return parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0 and database.isdecimal()
    except ValueError:  # its message holds a piece of the URL, perhaps of the password
        return False


def path(value: object) -> Path:
    """Accept a path; whoever loads the settings makes it absolute."""
    return value if isinstance(value, Path) else Path(text(value))


def program(value: object) -> Path | str:
    """Accept a path, or a bare name that is looked for on PATH when it is used."""
    if isinstance(value, Path) or "/" in text(value):
        return path(value)
    return text(value)


def paths(value: object) -> tuple[Path, ...]:
    """Accept a list of paths, or a text with ':' between them."""
    return tuple(path(part) for part in _parts(value, os.pathsep))


def words(value: object) -> tuple[str, ...]:
    """Accept a list of texts, or a text with ',' between them."""
    return tuple(text(part) for part in _parts(value, ","))


def hosts(value: object) -> tuple[str, ...]:
    """Accept a list of host names, or a text with ',' between them; their case means nothing."""
    return tuple(word.lower() for word in words(value))


def _parts(value: object, separator: str) -> list[object]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(separator) if part.strip()]
    if isinstance(value, list | tuple):
        return list(value)
    raise ValueError(f"must be a list, or a text with {separator!r} between the parts")


def count(minimum: int) -> Callable[[object], int]:
    """Accept whole numbers from `minimum`."""

    def parse(value: object) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(_LARGEST)):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= _LARGEST:
            raise ValueError(f"must be a whole number, {minimum} or more")
        return value

    return parse


def size(value: object) -> int:
    """Accept a number of bytes above 0."""
    written = str(value) if isinstance(value, str | int) else ""
    unit = written.lstrip("0123456789")
    digits = written.removesuffix(unit)
    number = int(digits) * _UNITS.get(unit.strip(), 0) if 0 < len(digits) <= _DIGITS else 0
    if not number:
        raise ValueError("must be a number of bytes, or a text such as 512KiB, 50MiB or 1GiB")
    return number


def duration(minimum: timedelta) -> Callable[[object], timedelta]:
    """Accept lengths of time from `minimum`."""

    def parse(value: object) -> timedelta:
        if isinstance(value, timedelta) and value >= minimum:
            return value
        from orchestrator.domain.durations import format_duration, parse_duration  # noqa: PLC0415 - only where set

        length = parse_duration(value)
        if length < minimum:
            raise ValueError(f"must be {format_duration(minimum)} or more")
        return length

    return parse


def choice(*options: str) -> Callable[[object], str]:
    """Accept one of a few words."""

    def parse(value: object) -> str:
        if value not in options:
            raise ValueError(f"must be one of {', '.join(options)}")
        return str(value)

    return parse
