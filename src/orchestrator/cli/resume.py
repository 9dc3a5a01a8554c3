"""`orch resume`: a session, or the whole env, begins jobs again after `orch pause`."""

from __future__ import annotations

from orchestrator.cli.options import AnySession, Env, Output  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format
from orchestrator.cli.pausing import set_paused


def resume(session: AnySession = None, env: Env = None, output: Output = Format.TABLE) -> None:
    """Have a paused session begin jobs again.

    Without SESSION, the env does; a session that was paused by itself stays paused.
    """
    set_paused(session, env, output, paused=False)
