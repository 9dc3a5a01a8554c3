"""A semaphore that is fair between sessions: of those that wait, higher priority first, then who has least.

With a plain semaphore a session of a thousand jobs would hold up one of two that comes after it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Claim:
    """A wish for a slot.

    Attributes:
        order: when it was made; smaller is earlier.
        count: how many slots, all at once.
    """

    session_id: str
    priority: int
    order: int
    count: int = 1


def choose(waiting: Sequence[Claim], held: Mapping[str, int]) -> Claim:
    """Return who is next: the highest priority; of those whose session holds fewest; of those who came first."""
    return min(waiting, key=lambda claim: (-claim.priority, held.get(claim.session_id, 0), claim.order))


class FairSemaphore:
    """Slots for jobs. Its size may change while it is in use; what is held is not taken away.

    Attributes:
        size: how many slots there are.
        held: how many each session holds.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.held: Counter[str] = Counter()
        self._waiting: dict[Claim, asyncio.Future[None]] = {}
        self._claims = 0

    @property
    def free(self) -> int:
        """How many slots nobody holds; negative after it shrank below what is held."""
        return self.size - self.held.total()

    async def acquire(self, session_id: str, priority: int = 0, count: int = 1) -> None:
        """Wait for a slot, or for several at once: then nobody who came later is given one before there are enough.

        A claim for more than there are waits until there are more, and holds up nobody.
        """
        self._claims += 1
        claim = Claim(session_id, priority, self._claims, count)
        future = asyncio.get_running_loop().create_future()
        self._waiting[claim] = future
        self._grant()
        try:
            await future
        except asyncio.CancelledError:
            # Cancelled in the very turn in which the slot was granted: it goes to the next.
            if future.done() and not future.cancelled():
                self.release(session_id, count)
            raise
        finally:
            self._waiting.pop(claim, None)

    def release(self, session_id: str, count: int = 1) -> None:
        """Give slots back."""
        self.held[session_id] -= count
        if not self.held[session_id]:
            del self.held[session_id]
        self._grant()

    def resize(self, size: int) -> None:
        """Change how many slots there are."""
        self.size = size
        self._grant()

    def _grant(self) -> None:
        while fitting := [claim for claim in self._waiting if claim.count <= self.size]:
            claim = choose(fitting, self.held)
            if claim.count > self.free:
                return
            future = self._waiting.pop(claim)
            if not future.done():
                self.held[claim.session_id] += claim.count
                future.set_result(None)
