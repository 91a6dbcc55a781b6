"""Summaries of sessions, and which sessions want one."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import UserId
from shared.domain.summaries import Summary
from shared.domain.turns import Header
from shared.ports.jobs import ConsolidationJob


@dataclass(frozen=True, slots=True)
class DueSession:
    """A session that is due since then."""

    job: ConsolidationJob
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ParkedSession:
    """A session that could not be consolidated, and why."""

    job: ConsolidationJob
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A consolidation that failed: when to try again, or never (None), after how many in a row, and why."""

    due_at: datetime | None
    attempts: int
    reason: str


class SummaryStore(Protocol):
    """Summaries on the headers of sessions, and which sessions want one.

    Every method raises StoreUnavailable when the store does not answer, and Busy when it has no request units left.
    """

    def find_due(self, now: datetime) -> AsyncIterator[Sequence[DueSession]]:
        """Sessions of all users that are due, page by page: one of the reads that cross partitions."""
        ...

    def find_parked(self) -> AsyncIterator[Sequence[ParkedSession]]:
        """Sessions of all users that are parked, page by page: it crosses partitions too."""
        ...

    async def keep(self, user: UserId, header: Header, summary: Summary | None, upto: int) -> bool:
        """Say that the session is consolidated up to this seq, if the header is still at its etag; else False.

        It is due no longer when that is all of it. Twice is harmless: the second time the etag is another.
        """
        ...

    async def postpone(self, user: UserId, header: Header, failure: Failure | None) -> bool:
        """Say that consolidating failed, or (None) that it may be tried anew at once; False as `keep`.

        Twice is harmless, as `keep`.
        """
        ...

    async def await_vectors(
        self, user: UserId, header: Header, from_seq: int, due_at: datetime
    ) -> bool:
        """Say from which turn on vectors are missing, and when to try again; False as `keep`.

        Twice is harmless, as `keep`.
        """
        ...

    async def rest(self, user: UserId, header: Header) -> bool:
        """Say that the session is not due, nor waits for vectors; False as `keep`. Twice is harmless, as `keep`."""
        ...
