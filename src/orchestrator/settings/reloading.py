"""What a daemon takes of the settings that it reads again: all but what it began with for good."""

from __future__ import annotations

import json
from dataclasses import replace

from orchestrator.frozen import TYPE_CHECKING, fields_of, frozen
from orchestrator.settings import LASTING

if TYPE_CHECKING:
    from orchestrator.settings import Settings


@frozen
class Reload:
    """What came of a reload, as the daemon tells whoever asked for it.

    Attributes:
        time: when, ISO 8601.
        refused: why the settings cannot be used; empty where they can.
        kept: the settings that have changed and cannot change before a restart.
    """

    time: str
    refused: str = ""
    kept: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Reload:
        """Read one back."""
        fields = json.loads(text)
        return cls(**{**fields, "kept": tuple(fields["kept"])})

    def __str__(self) -> str:
        return json.dumps(fields_of(self))


def reloaded(settings: Settings, fresh: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return what is in force after a reload, and the names of the settings that have changed in vain.

    Args:
        settings: in force so far.
        fresh: as they were read again.
    """
    lasting = {name: value for name, value in fields_of(settings).items() if name in LASTING}
    kept = tuple(name for name, value in lasting.items() if getattr(fresh, name) != value)
    return replace(fresh, **lasting), kept
