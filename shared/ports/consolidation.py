"""Which sessions are due for consolidation, and what came of it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import UserId
from shared.domain.sessions import Header
from shared.domain.summaries import Summary
from shared.ports.jobs import ConsolidationJob


@dataclass(frozen=True, slots=True)
class DueSession:
    """A session that has been due since `due_at`."""

    job: ConsolidationJob
    due_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetteredSession:
    """A session that could not be consolidated, and why."""

    job: ConsolidationJob
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed consolidation: when to retry (None: never), failures in a row, and the reason."""

    due_at: datetime | None
    attempts: int
    reason: str


class ConsolidationStore(Protocol):
    """The consolidation state on session headers.

    Every write is conditional on the header's ETag and returns False if the header has changed;
    it is idempotent, because a repeat finds another ETag.
    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    def find_due(self, now: datetime) -> AsyncIterator[Sequence[DueSession]]:
        """Due sessions of all users, page by page: one of the reads that cross partitions."""
        ...

    def find_dead_lettered(self) -> AsyncIterator[Sequence[DeadLetteredSession]]:
        """Dead-lettered sessions of all users, page by page: it crosses partitions too."""
        ...

    async def save_summary(
        self, user: UserId, header: Header, summary: Summary | None, upto: int
    ) -> bool:
        """Record that the session is consolidated up to this seq.

        It stops being due if that is everything.
        """
        ...

    async def postpone(self, user: UserId, header: Header, failure: Failure | None) -> bool:
        """Record a failure, or (None) that the session may be retried at once."""
        ...

    async def await_vectors(
        self, user: UserId, header: Header, from_seq: int, due_at: datetime
    ) -> bool:
        """Record from which turn on vectors are missing, and when to try again."""
        ...

    async def clear_due(self, user: UserId, header: Header) -> bool:
        """Record that the session is not due and waits for no vectors."""
        ...
