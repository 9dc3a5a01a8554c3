"""HTML that is escaped by construction: a text becomes part of a page only as a text."""

from __future__ import annotations

from html import escape

from orchestrator.domain.shown import printable

_LONGEST = 60
_BRIEF = 14


class Html(str):
    """A piece of a page; every other string is a text that is yet to be escaped."""

    __slots__ = ()


def el(name: str, *children: str, **attributes: str | int) -> Html:
    """Make an element; `class_` is its class, and `data_x` becomes `data-x`."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items())
    return Html(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: str) -> Html:
    """Put pieces after each other; what is no `Html` is escaped."""
    return Html("".join(child if isinstance(child, Html) else escape(visible(child)) for child in children))


def visible(text: str) -> str:
    """Return a text with the characters escaped that a browser would not show or would obey, but for line ends."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def label(text: object) -> str:
    """Return a text as a plot shows it, where `<b>` would be bold: escaped, on one line, not too long."""
    line = printable(str(text))
    return escape(line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…", quote=False)


def brief(text: str) -> str:
    """Return a text on one line, cut to what fits beside a tick; two that begin alike still differ in their ends."""
    line = printable(text)
    return line if len(line) <= _BRIEF else f"{line[: _BRIEF - 5]}…{line[-4:]}"
