"""How results leave the program: on stdout, as a table for people or in a form for programs, and nothing else there."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from enum import StrEnum

from orchestrator.errors import OrchError
from orchestrator.frozen import TYPE_CHECKING, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any


class Format(StrEnum):
    """The forms that `-o` names."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    QUIET = "quiet"


@frozen
class Shown:
    """What a verb shows, in each form that may be asked for; only that one is made.

    Attributes:
        document: for JSON and YAML; made when it is needed.
        table: for people.
        quiet: the bare answer, for a shell's `$(…)`.
        items: the documents that are a line each in JSONL; else the one document is its only line.
    """

    document: Callable[[], Mapping[str, Any]]
    table: Callable[[], str]
    quiet: Callable[[], str]
    items: Callable[[], Iterable[Mapping[str, Any]]] | None = None


def write(shown: Shown, form: Format) -> None:
    """Write it to stdout.

    Raises:
        OrchError: stdout takes nothing (a full disk).
        BrokenPipeError: nobody reads it any more.
    """
    with _explained():
        _write(shown, form)


def put(text: str) -> None:
    """Write a text to stdout as it is, at once: a piece of what goes on.

    Raises:
        OrchError, BrokenPipeError: as `write`.
    """
    with _explained():
        sys.stdout.write(text)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(error) from error


def unwritable(error: OSError) -> OrchError:
    """Return what there is to say of a stdout that takes nothing, which gets nothing more."""
    silence_stdout()
    return OrchError(f"stdout cannot be written: {error.strerror}")


def silence_stdout() -> None:
    """Keep the interpreter from complaining, as it ends, of what it cannot write any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(shown: Shown, form: Format) -> None:
    match form:
        case Format.TABLE:
            _lines([escaped(shown.table())])
        case Format.QUIET:
            _lines([escaped(shown.quiet())])
        case Format.JSON:
            _lines([json.dumps(shown.document(), indent=2)])  # ASCII: nothing in it that a terminal would obey
        case Format.JSONL:
            _lines(json.dumps(item) for item in (shown.items() if shown.items else [shown.document()]))
        case Format.YAML:
            _lines([_yaml(shown.document())])


def escaped(text: str) -> str:
    """Return a text with everything that a terminal might obey made visible, but for its line ends."""
    return text if text.isprintable() else "\n".join(one_line(line) for line in text.split("\n"))


def one_line(text: str) -> str:
    """Return a text with everything escaped that is not printable, line ends too: fit for a cell of a table."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _lines(texts: Iterable[str]) -> None:
    for text in texts:
        if text:
            sys.stdout.write(text.rstrip("\n") + "\n")


def _yaml(document: Mapping[str, Any]) -> str:
    import yaml  # noqa: PLC0415 - only where it is asked for

    # Through JSON, which turns enums and tuples into what the safe dumper knows.
    return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False)
