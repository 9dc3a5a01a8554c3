"""Plain aligned text for people: columns, named values, lengths of time. No colour: it is the same everywhere."""

from __future__ import annotations

import os
import sys

from orchestrator.cli.output import one_line
from orchestrator.frozen import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta
    from typing import Any

_GAP = "  "
_NARROWEST = 40
_NOT_A_TERMINAL = 100
_UNBROKEN = "\ufdd0"
"""Stands for a space at which no line ends; no text has it: it is no character, in Unicode's words."""


def width() -> int | None:
    """Return how wide the terminal on stdout is, or None where stdout is no terminal and may be as wide as it likes."""
    if not sys.stdout.isatty():
        return None
    given = os.environ.get("COLUMNS", "")
    columns = int(given) if given.isdecimal() else os.get_terminal_size(sys.stdout.fileno()).columns
    return max(columns or _NOT_A_TERMINAL, _NARROWEST)


def columns(header: Sequence[str], rows: Iterable[Sequence[str]], limit: int | None = None) -> str:
    """Align rows below a header; numbers to the right. Lines longer than `limit` are cut, with a sign that they are."""
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    numeric = [all(_is_number(row[place]) for row in table[1:]) and len(table) > 1 for place in range(len(header))]
    lines = []
    for row in table:
        cells = [
            cell.rjust(wide) if number else cell.ljust(wide)
            for cell, wide, number in zip(row, widths, numeric, strict=True)
        ]
        lines.append(cut(_GAP.join(cells).rstrip(), limit))
    return "\n".join(lines)


def named(values: Iterable[tuple[str, str]], limit: int | None = None) -> str:
    """Show names and values below each other; a long value goes on in further lines. Empty values are left out.

    A command, one of `commands` or in backquotes, is never broken: where it is too long the terminal wraps it, and it
    can be copied.
    """
    pairs = [(name, value) for name, value in values if value]
    indent = max((len(name) for name, _ in pairs), default=0) + len(_GAP)
    lines = []
    for name, value in pairs:
        wrapped = [part for line in value.splitlines() for part in _wrapped(line, limit and limit - indent)]
        lines += [f"{(name if number == 0 else ''):{indent}}{part}" for number, part in enumerate(wrapped)]
    return "\n".join(lines).replace(_UNBROKEN, " ")


def commands(*texts: str) -> str:
    """Return commands as a value for `named`, each in a line of its own that stays one."""
    return "\n".join(text.replace(" ", _UNBROKEN) for text in texts)


def cut(line: str, limit: int | None) -> str:
    """Shorten a line to `limit` characters."""
    return line if limit is None or len(line) <= limit else f"{line[: limit - 1]}…"


def number(value: object) -> str:
    """Write a metric or a parameter: floats with six significant digits, nothing as `-`."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value).lower() if isinstance(value, bool) else one_line(str(value))


def assignments(values: Mapping[str, Any]) -> str:
    """Write parameters or metrics as `name=value` with spaces between."""
    return " ".join(f"{name}={number(value)}" for name, value in values.items())


def span(length: timedelta) -> str:
    """Write a length of time roughly: `12s`, `3m20s`, `2h05m`, `3d4h`."""
    seconds = max(round(length.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{seconds % 60:02}s" if minutes else f"{seconds}s"


def plural(count: int, word: str) -> str:
    """Write a count with its word: `1 iteration`, `2 iterations`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _wrapped(line: str, limit: int | None) -> list[str]:
    if limit is None or len(line) <= limit:
        return [line]
    import re  # noqa: PLC0415 - a narrow terminal's, and it takes its time
    import textwrap  # noqa: PLC0415 - the same

    line = re.sub("`[^`]+`", lambda quoted: commands(quoted[0]), line)
    return textwrap.wrap(line, limit, break_on_hyphens=False, break_long_words=False)


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.replace("/", "").replace(".", "").replace("-", "").replace("e+", "").isdecimal()
