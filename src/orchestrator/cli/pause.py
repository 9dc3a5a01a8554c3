"""`orch pause`: a session, or the whole env, begins no job."""

from __future__ import annotations

from orchestrator.cli.options import AnySession, Env, Output  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format
from orchestrator.cli.pausing import set_paused


def pause(session: AnySession = None, env: Env = None, output: Output = Format.TABLE) -> None:
    """Have a session begin no job; running jobs go on.

    Nothing new starts; without SESSION, in no session of the env. A running job goes on to its last iteration: `orch
    cancel` stops it, and `orch retry` goes on with what is missing.
    """
    set_paused(session, env, output, paused=True)
