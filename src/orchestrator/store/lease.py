"""Who an owner is, as its lease says it: enough to be shown to people, and to see on its host whether it is gone."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from orchestrator.clock import iso
from orchestrator.frozen import TYPE_CHECKING, fields_of, frozen
from orchestrator.process.procfs import ProcessIdentity

if TYPE_CHECKING:
    from datetime import datetime


@frozen
class Lease:
    """An owner.

    Attributes:
        kind: `run`, `daemon` or `worker` (one that runs alone).
        host: where it runs.
        identity: its process, as text.
        since: when it began, ISO 8601.
        pid_namespace: in which its pid means something, as the kernel names it; empty where that is not known.
    """

    kind: str
    host: str
    identity: str
    since: str
    pid_namespace: str = ""

    @classmethod
    def own(cls, kind: str, now: datetime) -> Lease:
        """Return the lease of this process."""
        return cls(kind, socket.gethostname(), ProcessIdentity.of(os.getpid()).to_str(), iso(now), _own_namespace())

    @classmethod
    def parse(cls, text: str) -> Lease:
        """Read one back."""
        return cls(**json.loads(text))

    def __str__(self) -> str:
        return json.dumps(fields_of(self), separators=(",", ":"))

    @property
    def pid(self) -> int:
        """The owner's process id on its host."""
        return ProcessIdentity.from_str(self.identity).pid

    def gone(self) -> bool:
        """Whether the owner is known to be dead: it ran where we see all processes, and is none of them any more.

        A container may well have its host's name, and its pids mean nothing outside of it.
        """
        here = self.host == socket.gethostname() and self.pid_namespace == _own_namespace()
        return here and not ProcessIdentity.from_str(self.identity).is_alive()


def _own_namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())
