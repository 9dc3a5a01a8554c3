"""`--new`: a session id, and names of CSV files to go with it, that nobody has taken."""

from __future__ import annotations

import shlex
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.session_file import load
from orchestrator.submission import taken_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.client import Client
    from orchestrator.domain.session import SessionSpec
    from orchestrator.submission import SessionFile


def renamed(session: SessionFile, given: Mapping[str, str], client: Client) -> SessionFile:
    """Give the session the first free id of ID, ID-2, ID-3, … and its CSVs the name that goes with it."""
    spec = session.spec
    numbered = (
        load(
            session.path,
            {
                **given,
                "session_id": f"{spec.session_id}-{number}",
                "base_output_csv": f"{spec.base_output_csv}-{number}",
            },
        )[0]
        for number in count(2)
    )
    return next(each for each in chain([session], numbered) if _is_free(each.spec, client))


def without_new(file: Path, session: SessionFile, given: Mapping[str, str]) -> str:
    """Return the command that goes on with a session that `--new` has named: the same again would begin another.

    Args:
        file: as the user named it.
        session: with the names that were found.
        given: what the command line said about its fields.
    """
    spec = session.spec
    return run_command(file, {**given, "session_id": spec.session_id, "base_output_csv": spec.base_output_csv})


def run_command(file: Path, given: Mapping[str, str]) -> str:
    """Return the command that runs a session file with what a command line said about its fields."""
    sets = [part for field, value in given.items() for part in ("--set", f"{field}={value}")]
    return shlex.join(["orch", "run", str(file), *sets])


def _is_free(spec: SessionSpec, client: Client) -> bool:
    return not client.find_record(spec.session_id) and not taken_outputs(spec, Path.cwd())
