"""Marked blocks in the project's documents: where a script writes, and what stands there now.

A block begins with a line `<!-- KIND: NAME -->` and ends with a line `<!-- end -->`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
"""The project's root."""

_BLOCK = re.compile(r"^<!-- (?P<kind>[a-z]+): (?P<name>.+?) -->\n(?P<body>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"```[a-z]*\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One marked block.

    Attributes:
        kind: says who writes it.
        name: says what stands in it.
        body: what stands in it now, with its last line end.
    """

    kind: str
    name: str
    body: str

    @property
    def content(self) -> str:
        """What stands between the fences of its body; empty where there are none."""
        found = _FENCED.search(self.body)
        return found["content"] if found else ""


def documents() -> list[Path]:
    """Return every Markdown file of the project that may have blocks."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def find_blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a document in their order."""
    for found in _BLOCK.finditer(text):
        yield Block(found["kind"], found["name"], found["body"])


def fill_blocks(text: str, kind: str, fill: Callable[[Block], str]) -> str:
    """Return a document with the bodies of one kind of block written anew, in their order."""

    def filled(found: re.Match[str]) -> str:
        block = Block(found["kind"], found["name"], found["body"])
        if block.kind != kind:
            return found[0]
        return f"<!-- {block.kind}: {block.name} -->\n{fill(block).rstrip()}\n<!-- end -->"

    return _BLOCK.sub(filled, text)


def fence(language: str, content: str) -> str:
    """Return a fenced block."""
    return f"```{language}\n{content.rstrip()}\n```"
