"""The command line, `orch VERB …`. Here is only the way in; each verb is a file beside this one.

A verb's file is imported when the verb is called, and a function of its name is the verb. What a command costs is what
it imports, and `orch status` is polled: in its usual forms it goes past typer, which alone would double its time.
"""

from __future__ import annotations

import os
import sys

from orchestrator.cli.failures import guarded

VERBS = (
    *("run", "plan", "daemon", "submit", "status", "logs", "wait", "results", "best", "export", "report"),
    *("judge", "holdout", "replay"),
    *("cancel", "retry", "pause", "resume", "list", "history", "rm", "doctor", "version"),
)
"""In the order in which `orch --help` lists them. A new one is a file here and a word in these lines."""

PROGRAM = "orch"
COMPLETION = "_ORCH_COMPLETE"
"""The variable by which a shell asks for completions instead of for a verb."""


def main() -> int:
    """Do what the command line says; return the exit code."""
    return guarded(lambda: _dispatch(sys.argv[1:]))


def _dispatch(argv: list[str]) -> int:
    if argv[:1] == ["status"] and COMPLETION not in os.environ:
        from orchestrator.cli import polled  # noqa: PLC0415 - the one verb that does without typer

        argv = ["status", *polled.with_interval(argv[1:])]
        if asked := polled.parse(argv[1:]):
            polled.show_status(asked)
            return 0
    from orchestrator.cli.app import run_app  # noqa: PLC0415 - typer and all that it brings

    return run_app(argv)
