"""Deleted sessions on their way out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.turns import Header
from shared.ports.commits import CommitOutcome


@dataclass(frozen=True, slots=True)
class Grave:
    """What is left of a deleted session until it was swept once more."""

    user: UserId
    session: SessionId
    gen: Gen


class SessionGraves(Protocol):
    """Deleted sessions on their way out.

    Every method raises StoreUnavailable when the store does not answer, and Busy when it has no request units left.
    """

    async def bury(self, user: UserId, header: Header, due_at: datetime) -> CommitOutcome:
        """Delete the header and leave a grave, in one batch, unless the header was written meanwhile.

        Twice is harmless: the header is deleted once, the second batch finds none.
        """
        ...

    async def sweep(self, user: UserId, gen: Gen) -> None:
        """Delete every document of the gen until a query finds none. Twice is harmless: it finds none."""
        ...

    async def list_graves(self, user: UserId, session: SessionId) -> Sequence[Grave]:
        """The graves of one session."""
        ...

    async def find_due(self, now: datetime) -> Sequence[Grave]:
        """Graves of all users that are due, at most 1,000 at a time: one of the reads that cross partitions."""
        ...

    async def close(self, grave: Grave) -> None:
        """Delete the grave. Twice is harmless: it is gone."""
        ...
