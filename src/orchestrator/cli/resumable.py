"""A session id that is in the store already: whether this file goes on with it, and if not, why and what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.cli.tables import number
from orchestrator.domain.job import Status
from orchestrator.domain.session import session_hash
from orchestrator.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.domain.record import Submission

_NEVER_SHOWN = frozenset({"env_vars"})


def check_resumable(record: Mapping[str, str], submission: Submission, file: Path) -> list[str]:
    """Tell whether `run` goes on with a session.

    Args:
        record: the session's, from the store.
        submission: the same file as it is now.
        file: as the user named it.

    Returns:
        What the user should know when it goes on, sentences.

    Raises:
        StateError: it is finished, or it is another session of the same name.
    """
    name, status = record["session_id"], Status(record["status"])
    again = f"`orch run {file} --new` runs the file under a free id, `orch rm {name}` removes what is there"
    if fields := differing_fields(record, submission):
        raise another(record, fields, again)
    if status.terminal:
        raise StateError(f"session {name} has finished ({status}): `orch results {name}` shows it; {again}")
    done = f"{record['completed_iterations']} of {record['total_iterations']} iterations are recorded"
    notes = [f"goes on with session {name}" + (f": {done}" if record["total_iterations"] else "")]
    notes += [f"{change}; the session goes on with what it began with" for change in changed_tuning(record, submission)]
    return notes


def check_same(record: Mapping[str, str], submission: Submission, file: Path) -> None:
    """Refuse to hand in what is not, in every respect, the session that is in the store.

    Args:
        record: the session's, from the store.
        submission: the same file as it is now.
        file: as the user named it.

    Raises:
        StateError: it is another session of the same name.
    """
    if different := differing_fields(record, submission) or changed_tuning(record, submission):
        raise another(
            record,
            different,
            f"`orch submit {file} --new` hands it in under a free id, "
            f"`orch rm {record['session_id']}` removes what is there",
        )


def another(record: Mapping[str, str], different: Sequence[str], again: str) -> StateError:
    """Say that the session in the store is another one of the same name, in what, and what to do `again`."""
    return StateError(
        f"session {record['session_id']} is in the store ({record['status']}), and this file says something else: "
        f"{', '.join(different)}. {again}"
    )


def changed_tuning(record: Mapping[str, str], submission: Submission) -> list[str]:
    """Return that the tuning config or its data has changed since, where it has."""
    if record["tuning"] == submission.tuning:
        return []
    return [f"{submission.spec.config_path} or its data is not what it was"]


def differing_fields(record: Mapping[str, str], submission: Submission) -> list[str]:
    """Return the fields in which a stored session and a file differ, e.g. `workers (2 there, 3 here)`."""
    if record["spec_hash"] == session_hash(submission.spec):
        return []
    there = json.loads(record["spec"])
    here = submission.spec.model_dump(mode="json")
    names = [name for name in here if here[name] != there.get(name)]
    return [
        name if name in _NEVER_SHOWN else f"{name} ({_text(there.get(name))} there, {_text(here[name])} here)"
        for name in names
    ]


def _text(value: object) -> str:
    return number(value) if value is None or isinstance(value, str | int | float) else json.dumps(value)
