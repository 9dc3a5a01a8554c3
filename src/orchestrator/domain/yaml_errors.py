"""What PyYAML says about a syntax error, said so that the one who wrote the file knows what to change."""

from __future__ import annotations

import re

import yaml

from orchestrator.errors import Problem

# What PyYAML says -> what to do, and whether the place to show is where the construct began (its "context").
_HINTS: tuple[tuple[str, str, bool], ...] = (
    (r"character '\\t'", "a tab stands where YAML takes only spaces; use spaces", False),
    (r"character '([@`%])'", "a value cannot start with '{0}'; put the value in quotes", False),
    (
        "mapping values are not allowed",
        "a ':' stands where none can be: check the indentation of this line, and put a value that holds ': ' in quotes",
        False,
    ),
    ("could not find expected ':'", "this line is no 'key: value' (is the ':' missing, or the space after it?)", True),
    (
        "unknown escape character '(.*)'",
        "\\{0} means nothing in double quotes; use single quotes, or write \\\\{0}",
        False,
    ),
    ("found unexpected end of stream", "this quote is never closed", True),
    (r"expected ',' or '([\]}}])'", "this list or mapping is not closed with '{0}', or a ',' is missing in it", True),
    (
        "expected <block end>, but found '<scalar>'",
        "text stands after the end of a value; put the whole value in one pair of quotes",
        False,
    ),
    ("expected <block end>", "the indentation of this line fits none of the lines above it", False),
    (r"expected the node content, but found '(.*)'", "a value cannot start with '{0}'; put the value in quotes", False),
    ("alphabetic or numeric character", "'&' and '*' start a YAML anchor or alias; put the value in quotes", True),
    ("undefined tag handle", "'!' starts a YAML tag; put the value in quotes", False),
)


def explain_syntax(error: Exception, text: str, source: str) -> Problem:
    """Return the one problem that made PyYAML's scanner or parser stop.

    Args:
        error: a `yaml.YAMLError`, or what `chr()` and `int()` raised inside the scanner.
        text: the whole text, in which an error may give its place as an offset.
        source: the file as the user named it.
    """
    if isinstance(error, yaml.MarkedYAMLError):
        return _marked(error, source)
    if isinstance(error, yaml.reader.ReaderError):
        line, column = place_of(text, error.position)
        return Problem(f"the character U+{ord(text[error.position]):04X} is not allowed in YAML", source, line, column)
    return Problem(r"is not YAML: an escape (\U…) or a number in it is out of range", source)


def place_of(text: str, offset: int) -> tuple[int, int]:
    """Return the 1-based line and column of a character."""
    before = text[:offset].splitlines(keepends=True)
    if not before:
        return 1, 1
    if before[-1].endswith(("\n", "\r")):
        return len(before) + 1, 1
    return len(before), len(before[-1]) + 1


def _marked(error: yaml.MarkedYAMLError, source: str) -> Problem:
    said = error.problem or error.context or "is not YAML"
    message, from_start = f"is not YAML: {said}", False
    for pattern, hint, begins in _HINTS:
        if found := re.search(pattern, said):
            message, from_start = hint.format(*found.groups()), begins
            break
    mark = (error.context_mark if from_start else None) or error.problem_mark or error.context_mark
    return Problem(message, source, mark.line + 1, mark.column + 1) if mark else Problem(message, source)
