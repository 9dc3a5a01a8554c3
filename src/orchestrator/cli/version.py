"""`orch version`: which program this is."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version as installed

from orchestrator.cli.options import Output  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, write
from orchestrator.store.keys import SCHEMA_VERSION

DISTRIBUTION = "tuning-orchestrator"


def version(output: Output = Format.TABLE) -> None:
    """Show the version."""
    own = installed(DISTRIBUTION)
    python = platform.python_version()
    shown = Shown(
        document=lambda: {
            "schema": 1,
            "version": own,
            "python": python,
            "executable": sys.executable,
            "store_schema": SCHEMA_VERSION,
        },
        table=lambda: f"orch {own} (Python {python}, store schema {SCHEMA_VERSION})",
        quiet=lambda: own,
    )
    write(shown, output)
