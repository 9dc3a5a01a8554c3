"""Write what commands really print into the documents: `<!-- captured: COMMAND -->` blocks.

Each document has a folder of its own that is thrown away, with a copy of `configs/`, a home of its own and nothing of
the caller's settings but NUMBA_CACHE_DIR, which changes no output. A `<!-- file: NAME -->` block is written there as it
stands in the document, so that what readers are told to write is what was run. Blocks are taken in order. `<!--
captured: COMMAND (exit 5) -->` says that a command ends with another code than 0; anything else than what is said ends
this script. `<!-- captured: COMMAND & -->` leaves one running behind the next ones, from its first line of output on,
and ends it (TERM) when the document ends. The one thing that is changed in what was printed is the path of that home,
which becomes `~`.

Documents may be named; else it is all of them. With `--check` nothing is written: all is run again, and the exit code
is 1 where the form of what is printed has changed. Numbers, times, the order of lines and how many there are of a form
may differ: workers learn from each other as results come in, so no two runs need be alike.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from marks import ROOT, Block, documents, fence, fill_blocks, find_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_COMMAND = re.compile(r"(?P<command>.+?)(?: \(exit (?P<code>\d+)\))?")
_LONGEST = 600
_VARYING = re.compile(
    r"\b[0-9a-f]{64}\b"  # a hash
    r"|\d{4}-\d\d-\d\dT[\d:.]+Z"  # a moment
    r"|\b(?:\d+(?:d|h|m|s|ms))+\b"  # a length of time
    r"|(?<![A-Za-z])-?\d[\d.,]*(?:e[+-]?\d+)?"  # a number
    r"|(?<=\s)-(?=\s|$)"  # no number
)


class CaptureError(Exception):
    """A command did not end as the document says; the message has what it printed."""


def main(arguments: Sequence[str]) -> int:
    """Write or check captured blocks; return the exit code."""
    is_check = "--check" in arguments
    named = [Path(argument).resolve() for argument in arguments if argument != "--check"]
    code = 0
    for path in named or documents():
        text = path.read_text(encoding="utf-8")
        if not any(block.kind == "captured" for block in find_blocks(text)):
            continue
        with tempfile.TemporaryDirectory(prefix="orch-") as home:
            outputs = _run_blocks(text, Path(home))
        if not is_check:
            path.write_text(_filled(text, outputs), encoding="utf-8")
        elif changes := _changes(text, outputs):
            print(f"{path.relative_to(ROOT)} is out of date (run `make docs`):", *changes, sep="\n")
            code = 1
    return code


def _filled(text: str, outputs: Iterable[str]) -> str:
    remaining = iter(outputs)
    return fill_blocks(text, "captured", lambda _: next(remaining))


def _changes(text: str, outputs: Iterable[str]) -> list[str]:
    """Return the forms of lines that are gone, and those that are new."""
    blocks = [block for block in find_blocks(text) if block.kind == "captured"]
    changes = []
    for block, output in zip(blocks, outputs, strict=True):
        before, now = _forms(block.body), _forms(output)
        changes += [f"- {line}" for line in sorted(before - now)] + [f"+ {line}" for line in sorted(now - before)]
    return changes


def _run_blocks(text: str, home: Path) -> list[str]:
    folder = home / "tuning"
    shutil.copytree(ROOT / "configs", folder / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    outputs = []
    with ExitStack() as background:
        for block in find_blocks(text):
            if block.kind == "file":
                file = folder / block.name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.content, encoding="utf-8")
            elif block.kind == "captured" and block.name.endswith(" &"):
                outputs.append(background.enter_context(_running(block.name, folder, home)))
            elif block.kind == "captured":
                outputs.append(_run(block, folder, home))
    return outputs


@contextmanager
def _running(name: str, folder: Path, home: Path) -> Iterator[str]:
    """Run a command in the background; gives what it printed until it had printed a line."""
    with subprocess.Popen(
        shlex.split(name.removesuffix(" &")),
        cwd=folder,
        env=_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout  # noqa: S101 - it is a pipe
        first = process.stdout.readline()
        reader = threading.Thread(target=process.stdout.read)  # it must not stand still for a pipe that nobody reads
        reader.start()
        try:
            yield fence("console", f"$ {name}\n{first.replace(str(home), '~')}")
        finally:
            process.terminate()
            code = process.wait(_LONGEST)
            reader.join()
    if code:
        raise CaptureError(f"$ {name}\nended with {code}")


def _run(block: Block, folder: Path, home: Path) -> str:
    said = _COMMAND.fullmatch(block.name)
    if said is None:
        raise CaptureError(f"no command: {block.name}")
    ended = subprocess.run(
        shlex.split(said["command"]),
        cwd=folder,
        env=_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LONGEST,
        check=False,
    )
    code = (
        ended.returncode if ended.returncode >= 0 else 128 - ended.returncode
    )  # of what was killed, as a shell has it
    if code != int(said["code"] or 0):
        raise CaptureError(f"$ {said['command']}\n{ended.stdout}\nended with {code}")
    return fence("console", f"$ {said['command']}\n{ended.stdout.replace(str(home), '~')}")


def _environment(home: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name == "NUMBA_CACHE_DIR"},
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LANG": "C.UTF-8",
    }


def _forms(body: str) -> set[str]:
    """Return the forms of a text's lines: every number, and every width that follows from one, made the same."""
    return {" ".join(_VARYING.sub("0", line).split()) for line in body.splitlines()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
