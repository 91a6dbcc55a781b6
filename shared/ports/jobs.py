"""The queue of sessions to consolidate."""

from dataclasses import dataclass
from typing import Protocol

from shared.domain.ids import SessionId, UserId


@dataclass(frozen=True, slots=True)
class ConsolidationJob:
    """A session to consolidate."""

    user: UserId
    session: SessionId


class QueueUnavailable(Exception):
    """The queue does not answer; the timer finds what is due."""


class JobQueue(Protocol):
    """The queue of sessions to consolidate. A job may arrive twice, late or out of order.

    Every method raises QueueUnavailable if the queue does not answer in time.
    """

    async def put(self, job: ConsolidationJob) -> None:
        """Enqueue a session. Idempotent in effect: the second job finds nothing to do."""
        ...

    async def length(self) -> int:
        """Roughly how many jobs are waiting."""
        ...

    async def count_poison(self) -> int:
        """Roughly how many jobs have failed for good."""
        ...

    async def requeue(self) -> int:
        """Put jobs that failed for good back on the queue; returns how many. Idempotent."""
        ...
