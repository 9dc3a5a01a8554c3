"""`--new`: a session id, and names of CSV files to go with it, that nobody has taken."""

from __future__ import annotations

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


def _is_free(spec: SessionSpec, client: Client) -> bool:
    return not client.find_record(spec.session_id) and not taken_outputs(spec, Path.cwd())
