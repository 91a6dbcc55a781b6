"""Sessions on their way to whoever consolidates them."""

from dataclasses import dataclass
from typing import Protocol

from shared.domain.ids import SessionId, UserId


@dataclass(frozen=True, slots=True)
class ConsolidationJob:
    """A session to consolidate."""

    user: UserId
    session: SessionId


class QueueUnavailable(Exception):
    """The queue does not answer; what is due is found by the timer."""


class JobQueue(Protocol):
    """Sessions on their way to whoever consolidates them. A job may come twice, late, or out of order."""

    async def put(self, job: ConsolidationJob) -> None:
        """Ask for a session to be consolidated. Twice is harmless: the second finds nothing to do.

        Raises:
            QueueUnavailable: from every method, when the queue does not answer in time.
        """
        ...

    async def length(self) -> int:
        """About how many jobs wait."""
        ...

    async def count_poison(self) -> int:
        """About how many jobs failed for good."""
        ...

    async def revive(self) -> int:
        """Put jobs that failed for good back into the queue; how many it was. Twice is harmless: there are none."""
        ...
