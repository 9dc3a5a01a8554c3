"""YAML files as values that know their place: read with limits, checked against a model, all problems at once."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator.domain.complaints import explain, nearest
from orchestrator.domain.shown import printable, shown
from orchestrator.domain.yaml_core import MAX_BYTES, Path, Place, read_yaml
from orchestrator.domain.yaml_errors import place_of
from orchestrator.errors import Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Document:
    """A mapping that was read from a file, and where each of its values stands.

    Attributes:
        source: the file as the user named it.
        data: dicts, lists, texts, ints, floats, bools and None.
        values: where each value starts, 1-based (line, column), by the keys that lead to it.
        keys: where each key starts, likewise.
        origins: the values that came from somewhere else, and from where, e.g. `("workers",): "--set workers"`.
    """

    source: str
    data: dict[str, Any]
    values: Mapping[Path, Place] = field(default_factory=dict, repr=False)
    keys: Mapping[Path, Place] = field(default_factory=dict, repr=False)
    origins: Mapping[Path, str] = field(default_factory=dict, repr=False)

    def locate(self, path: Path, *, at_key: bool = False) -> Place | None:
        """Return the 1-based (line, column) of a value, or of its key; None where it is not in the file."""
        return (self.keys if at_key else self.values).get(path)

    def problem(self, path: Path, message: str, *, at_key: bool = False) -> Problem:
        """Return a problem at a value, placed as near to it as the file has anything."""
        for length in range(len(path), 0, -1):
            if origin := self.origins.get(path[:length]):
                return Problem(message, origin, path=_shown_path(path[length:]))
        places = [self.locate(path, at_key=at_key), *(self.locate(path[:end]) for end in range(len(path), -1, -1))]
        line, column = next((place for place in places if place), (None, None))
        return Problem(message, self.source, line, column, _shown_path(path))

    def with_value(self, path: Path, value: Any, origin: str) -> Document:
        """Return the document with one value set, mappings on the way to it made where there are none.

        Args:
            path: the keys that lead to the value.
            value: what to set.
            origin: what to name in a problem with it instead of a line, e.g. `--set workers`.

        Raises:
            SpecError: something on the way is no mapping.
        """
        data = dict(self.data)
        inner = data
        for length, key in enumerate(path[:-1], start=1):
            below = inner.get(str(key))
            if not isinstance(below, dict | None):
                above = ".".join(map(str, _shown_path(path[:length])))
                raise SpecError((Problem(f"{above} is no mapping (it is {shown(below)})", origin),))
            inner[str(key)] = below = dict(below or {})
            inner = below
        inner[str(path[-1])] = value
        return replace(self, data=data, origins={**self.origins, path: origin})


def decode_document(raw: bytes, source: str) -> Document:
    """Read the bytes of a file: `parse_document` with the encoding checked too.

    Raises:
        SpecError: it is too large, is not UTF-8, or `parse_document` refuses it.
    """
    if len(raw) > MAX_BYTES:
        raise SpecError((Problem(f"is larger than {MAX_BYTES:,} bytes", source),))
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        place = place_of(before, len(before))
        message = f"is not UTF-8 (byte 0x{raw[error.start]:02x}); save the file as UTF-8"
        raise SpecError((Problem(message, source, *place),)) from None
    return parse_document(text, source)


def parse_document(text: str, source: str) -> Document:
    """Read a YAML mapping: YAML 1.2's core schema, each key once, and limits on size, nesting and aliases.

    Args:
        text: the file's text.
        source: the file as the user named it.

    Raises:
        SpecError: with line and column; every problem at once, but for the syntax, where the first error is the end.
    """
    tree = read_yaml(text, source)
    if tree.value is None:
        raise SpecError((Problem("is empty; it must hold keys and values", source),))
    if not isinstance(tree.value, dict):
        place = tree.values[()]
        raise SpecError((Problem(f"must hold keys and values, but holds {shown(tree.value)}", source, *place),))
    return Document(source, tree.value, tree.values, tree.keys)


def parse_value(text: str, source: str) -> Any:
    """Read one YAML value, e.g. what follows the `=` of `--set labels={team: research}`.

    Raises:
        SpecError: it is not YAML; the problem names the source and no line.
    """
    try:
        return read_yaml(text, source).value
    except SpecError as error:
        raise SpecError(tuple(replace(problem, line=None, column=None) for problem in error.problems)) from None


def validate(document: Document, model: type[M], *, at: Path = (), context: dict[str, Any] | None = None) -> M:
    """Read a document, or what it has under a key, as a pydantic model.

    A model may list keys to come as `planned_keys: ClassVar[frozenset[str]]`; a field with `repr=False` is never
    shown in a problem. A validator's `ValueError` is shown as it is, so it is to be a sentence.

    Args:
        document: what was read.
        model: what it must be; give it `strict=True` and `extra="forbid"`.
        at: the keys that lead to the part to read.
        context: what the model's validators are given as `info.context`.

    Raises:
        SpecError: with every problem, each at its line and column, with the value and what was probably meant.
    """
    data: Any = document.data
    for depth, key in enumerate(at):
        if not isinstance(data, dict) or key not in data:
            raise SpecError((_absent(document, data, at[: depth + 1]),))
        data = data[str(key)]
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        complaints = explain(error, model, data)
    problems = [document.problem((*at, *c.path), c.message, at_key=c.at_key) for c in complaints]
    raise SpecError(tuple(sorted(problems, key=_order)))


def _absent(document: Document, data: Any, path: Path) -> Problem:
    meant = nearest(str(path[-1]), data) if isinstance(data, dict) else None
    return document.problem(path, f"is required; is it {meant!r} that was meant?" if meant else "is required")


def _order(problem: Problem) -> tuple[int, int]:
    return problem.line or 0, problem.column or 0


def _shown_path(path: Path) -> tuple[str | int, ...]:
    return tuple(printable(part) if isinstance(part, str) else part for part in path)
