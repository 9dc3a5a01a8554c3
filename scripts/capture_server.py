"""Follow docs/how-to/run-on-a-server.md on a machine of its own, and write into it what is printed there.

The machine is a real systemd in namespaces, over this system's files and without network: tests/support/machine.py.
`<!-- typed: USER -->` blocks are carried out as they stand, and end at the first command that fails; blocks of the form
`<!-- shown: USER: COMMAND -->` get what the command prints. What installs packages is not carried out: the machine has
this system's, and `/opt/orch` of this checkout. With `--check` all is carried out and nothing written. Needs root.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from marks import ROOT, fence, fill_blocks, find_blocks

sys.path.insert(0, str(ROOT / "tests"))

from support.machine import booted, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.machine import Machine

DOCUMENT = ROOT / "docs/how-to/run-on-a-server.md"

_PLACES = {"root": "/root/clone", "ann": "/srv/tuning/ann"}
"""Where a user is in a block: root where `deploy` is, Ann where she went."""


class StepError(Exception):
    """A step does not do what the document says; the message has what it printed."""


def main(arguments: Sequence[str]) -> int:
    """Follow the document; return the exit code."""
    if reason := why_not():
        print(f"no machine to follow {DOCUMENT.name} on: {reason}", file=sys.stderr)
        return 1
    text = DOCUMENT.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="orch-") as folder, booted(Path(folder)) as machine:
        for path in sorted((ROOT / "deploy/systemd").iterdir()):
            machine.write(f"{_PLACES['root']}/deploy/systemd/{path.name}", path.read_text(encoding="utf-8"))
        try:
            printed = list(_follow(text, machine))
        except StepError as error:
            print(error, file=sys.stderr)
            return 1
    if "--check" not in arguments:
        outputs = iter(printed)
        DOCUMENT.write_text(fill_blocks(text, "shown", lambda _: next(outputs)), encoding="utf-8")
    return 0


def _follow(text: str, machine: Machine) -> Iterator[str]:
    """Carry out the blocks in their order; yield what is shown of each that is to be shown."""
    for block in find_blocks(text):
        user, _, command = block.name.partition(": ")
        if block.kind == "typed":
            _run(machine, user, block.content)
        elif block.kind == "shown":
            sign = "#" if user == "root" else "$"
            yield fence("console", f"{sign} {command}\n{_run(machine, user, command)}")


def _run(machine: Machine, user: str, script: str) -> str:
    place = _PLACES[user] if machine.path(_PLACES[user]).exists() else "/"
    done = machine.run("bash", "-ec", f"exec 2>&1\n{script}", user=user, cwd=place)
    if done.returncode:
        raise StepError(f"{user}: {script}\n{done.stdout}\nended with {done.returncode}\n{machine.journal()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
