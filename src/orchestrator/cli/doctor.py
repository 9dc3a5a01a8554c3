"""`orch doctor`: is everything there that a session needs, and which settings are in force?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from orchestrator.cli.checks import State, run_checks
from orchestrator.cli.options import Env, Output  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, one_line, write
from orchestrator.cli.reading import settings_here
from orchestrator.cli.tables import columns, named, width

if TYPE_CHECKING:
    from orchestrator.cli.checks import Check
    from orchestrator.settings import Settings


def doctor(env: Env = None, output: Output = Format.TABLE) -> None:
    """Check what sessions need, and show the settings.

    That is the interpreter, the store and its persistence, who serves the env, the kernel, the disk; exit code 1 where
    one of them is broken.
    """
    settings = settings_here(env)
    checks = run_checks(settings)
    broken = any(check.state is State.BROKEN for check in checks)
    shown = Shown(
        document=lambda: _document(settings, checks, broken=broken),
        table=lambda: _table(settings, checks, width()),
        quiet=lambda: "broken" if broken else "ok",
    )
    write(shown, output)
    if broken:
        raise typer.Exit(1)


def _document(settings: Settings, checks: list[Check], *, broken: bool) -> dict[str, Any]:
    return {
        "schema": 1,
        "ok": not broken,
        "checks": [{"name": each.name, "state": each.state, "detail": each.detail} for each in checks],
        "settings": [{"name": name, "value": value, "origin": origin} for name, value, origin in settings.shown()],
    }


def _table(settings: Settings, checks: list[Check], limit: int | None) -> str:
    found = named([(each.name, f"{each.state:6}  {each.detail}") for each in checks], limit)
    rows = [tuple(map(one_line, row)) for row in settings.shown()]
    return f"{found}\n\n{columns(('SETTING', 'VALUE', 'FROM'), rows, limit)}"
