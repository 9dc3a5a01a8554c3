"""A checked session handed to the store: new, or there already and the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.resumable import check_same
from orchestrator.cli.wishing import acknowledge, wishes_of
from orchestrator.submission import refuse_taken_outputs

if TYPE_CHECKING:
    from orchestrator.client import Client
    from orchestrator.domain.record import Submission
    from orchestrator.domain.snapshot import SessionSnapshot
    from orchestrator.settings import Settings
    from orchestrator.wishes import Durability


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What came of it.

    Attributes:
        snapshot: the session as it is now, without its jobs.
        durability: what the acknowledgement survives; None where the session was there already.
    """

    snapshot: SessionSnapshot
    durability: Durability | None

    @property
    def is_new(self) -> bool:
        """Whether it was not there before."""
        return self.durability is not None


def hand_in(submission: Submission, client: Client, settings: Settings, file: Path) -> HandedIn:
    """Hand a session to the store, durably; one that is there and says the same stays as it is.

    Raises:
        StateError: there is another session of that name, or files of its results.
        StoreUnreachableError: the store does not confirm it.
    """
    name = submission.spec.session_id
    wishes = wishes_of(client, settings)
    durability = None
    if not client.find_record(name):
        refuse_taken_outputs(submission.spec, Path.cwd())
        if wishes.submit(submission) is None:
            durability = acknowledge(wishes)
    if durability is None:
        check_same(client.get_record(name), submission, file)
    return HandedIn(client.get_session(name, jobs=False), durability)
