"""Values as a message shows them: short, on one line, with nothing in them that a terminal would obey."""

from __future__ import annotations

from typing import Any

_LONGEST = 80


def shown(value: Any) -> str:
    """Return a value as its owner wrote it, more or less: a text in quotes, `true`, `nothing`, `a list of 3`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return shortened(repr(value))


def shortened(text: str) -> str:
    """Cut a text to what fits in a message."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def printable(text: str) -> str:
    """Return a text with every character that is not printable escaped, e.g. a key that is shown as a place."""
    return shortened("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def fact_label(name: str) -> str:
    """Return what a fact of a session's record is called where it is shown, e.g. `data_sha256`: `data sha256`.

    `config_sha256` is no file's hash: it is of the tuning config with defaults filled in and the data's paths absolute.
    """
    return "resolved config sha256" if name == "config_sha256" else name.replace("_", " ")


def is_text(text: str) -> bool:
    """Tell whether a text can be written down anywhere: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
