"""YAML text to plain values and the place of each, on PyYAML's events, with limits.

PyYAML's own loaders follow YAML 1.1, take the last of two equal keys in silence, expand aliases without bound and
recurse as deep as a file says. Its scanner and parser are sound, so only they are used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from orchestrator.domain.shown import shown
from orchestrator.domain.yaml_errors import explain_syntax
from orchestrator.domain.yaml_scalars import resolve
from orchestrator.errors import Problem, SpecError

MAX_BYTES = 1 << 20
"""A file beyond this is refused before it is looked at."""
MAX_VALUES = 50_000
"""Values in a file, what an alias stands for counted each time: bounds the expansion of aliases."""
MAX_DEPTH = 50
"""Levels of nesting, aliases expanded; far below what Python's stack holds."""

Path = tuple[str | int, ...]
Place = tuple[int, int]

_TAGS = {SequenceStartEvent: "tag:yaml.org,2002:seq", MappingStartEvent: "tag:yaml.org,2002:map"}
_BAD_KEY = "?"  # stands for a key that cannot be one, so that its value is still looked at


@dataclass(frozen=True, slots=True)
class Tree:
    """What a text holds.

    Attributes:
        value: dicts, lists, texts, ints, floats, bools, None.
        values: where each value starts, 1-based (line, column), by the keys that lead to it; what came through an
            alias is placed where it is written.
        keys: where each key of a mapping starts, likewise.
    """

    value: Any
    values: dict[Path, Place]
    keys: dict[Path, Place]


def read_yaml(text: str, source: str) -> Tree:
    """Read one YAML document.

    Raises:
        SpecError: the syntax is wrong (PyYAML stops at the first error), or it is right but holds what we refuse:
            then with every problem at once.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise SpecError((Problem(f"is larger than {MAX_BYTES:,} bytes", source),))
    builder = _Builder(source, _events(text, source))
    value = builder.build((), 0)
    if builder.problems:
        raise SpecError(tuple(builder.problems.values()))
    return Tree(value, builder.values, builder.keys)


def _events(text: str, source: str) -> list[Event]:
    """Return the events of the single document, from its root's on; empty where there is none."""
    events: list[Event] = []
    documents = depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += _nesting(event)
            documents += isinstance(event, DocumentStartEvent)
            if depth > MAX_DEPTH:
                _fail(f"is nested more than {MAX_DEPTH} levels deep", source, event)
            if len(events) > 2 * MAX_VALUES:
                _fail(f"holds more than {MAX_VALUES:,} values", source, event)
            if documents > 1:
                _fail("a second document starts here ('---'); one file is one document", source, event)
            events.append(event)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The scanner lets chr() and int() raise for an escape or a version beyond any range.
        raise SpecError((explain_syntax(error, text, source),)) from None
    return events[2:] if documents else []  # without the starts of the stream and of the document


def _nesting(event: Event) -> int:
    return isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)


def _place(event: Event) -> Place:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _fail(message: str, source: str, event: Event) -> NoReturn:
    raise SpecError((Problem(message, source, *_place(event)),))


@dataclass(slots=True)
class _Builder:
    """Walks the events once, and again through what an alias stands for."""

    source: str
    events: list[Event]
    position: int = 0
    count: int = 0
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    problems: dict[tuple[Place, str], Problem] = field(default_factory=dict)  # one a place, however often aliased
    anchors: dict[str, int] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)

    def build(self, path: Path, depth: int) -> Any:
        """Build the value that starts at the present event, and step past it."""
        if not self.events:
            return None
        start, event = self.position, self.events[self.position]
        self.position += 1
        self.count += 1
        if self.count > MAX_VALUES:
            _fail(f"holds more than {MAX_VALUES:,} values (an alias counts each time it is used)", self.source, event)
        if depth > MAX_DEPTH:
            _fail(f"is nested more than {MAX_DEPTH} levels deep", self.source, event)
        if isinstance(event, AliasEvent):
            return self._alias(event, path, depth)
        self.values[path] = _place(event)
        if not isinstance(event, NodeEvent) or event.anchor is None:
            return self._content(event, path, depth)
        if self.anchors.setdefault(event.anchor, start) != start:
            self._problem(f"the anchor &{event.anchor} is given twice", event, path)
        self.unfinished.add(event.anchor)
        value = self._content(event, path, depth)
        self.unfinished.discard(event.anchor)
        return value

    def _content(self, event: Event, path: Path, depth: int) -> Any:
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        assert isinstance(event, CollectionStartEvent)  # noqa: S101 - for mypy: the parser's grammar has nothing else
        if event.tag not in (None, "!", _TAGS[type(event)]):
            self._problem(f"the tag {shown(event.tag)} is not supported here", event, path)
        return self._mapping(path, depth) if isinstance(event, MappingStartEvent) else self._sequence(path, depth)

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        while not self._ended():
            items.append(self.build((*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while not self._ended():
            event = self.events[self.position]
            key = self._key(path, depth)
            here = (*path, key)
            if key in entries:
                line, _ = self.keys[here]
                self._problem(f"the key is given twice (first in line {line}); keep one", event, here)
            else:
                self.keys[here] = _place(event)
            entries[key] = self.build(here, depth + 1)
        return entries

    def _ended(self) -> bool:
        ended = isinstance(self.events[self.position], CollectionEndEvent)
        self.position += ended
        return ended

    def _key(self, path: Path, depth: int) -> str:
        event = self.events[self.position]
        if not isinstance(event, ScalarEvent):
            self._problem("a key must be a plain text, not an alias, a list or a mapping", event, path)
            self.build((*path, _BAD_KEY), depth + 1)
            return f"{_BAD_KEY}{self.position}"
        self.position += 1
        self.count += 1
        key = self._scalar(event, path)
        if not isinstance(key, str):
            self._problem(f'a key must be a text; put it in quotes: "{event.value}"', event, path)
            return str(event.value)
        if key == "<<" and event.implicit[0]:
            self._problem("merge keys (<<) are not part of YAML 1.2; write the keys out", event, path)
        return key

    def _scalar(self, event: ScalarEvent, path: Path) -> Any:
        try:
            return resolve(event)
        except ValueError as error:
            self._problem(str(error), event, path)
            return str(event.value)

    def _alias(self, event: AliasEvent, path: Path, depth: int) -> Any:
        start = self.anchors.get(str(event.anchor))
        if start is None or event.anchor in self.unfinished:
            what = "stands inside what it stands for" if start is not None else "has no anchor before it"
            hint = "; a text that starts with * needs quotes" if start is None else ""
            self._problem(f"the alias *{event.anchor} {what}{hint}", event, path)
            return None
        back, self.position = self.position, start
        value = self.build(path, depth)
        self.position = back
        return value

    def _problem(self, message: str, event: Event, path: Path) -> None:
        place = _place(event)
        self.problems.setdefault((place, message), Problem(message, self.source, *place, path))
