"""Session headers, session data, and the tombstones of deleted sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, Self

from pydantic import JsonValue

from shared.domain.ids import DataName, Gen, SessionId, UserId
from shared.domain.sessions import Header
from shared.ports.turns import CommitOutcome


@dataclass(frozen=True, slots=True)
class HeaderCursor:
    """A position in the list of sessions, newest first."""

    last_active_at: datetime
    session: SessionId

    @classmethod
    def at(cls, text: str, session: SessionId) -> Self:
        """Build the position from an RFC 3339 time and a session.

        Raises:
            ValueError: the text is not a time with a zone.
        """
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
        try:
            return cls(moment.astimezone(UTC), session)
        except OverflowError as beyond:
            raise ValueError("a time beyond the calendar") from beyond


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """The fields of a header that a caller may change; None clears a field."""

    title: str | None
    ttl_seconds: int | None


class SessionStore(Protocol):
    """Session headers. Every read is strongly consistent within the user's partition.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def read_header(self, user: UserId, session: SessionId) -> Header | None:
        """The header; None if there is none or it has expired."""
        ...

    async def open_session(
        self, user: UserId, session: SessionId, agent_id: str | None, now: datetime
    ) -> None:
        """Create an empty header if there is none. Idempotent: the id refuses a second create."""
        ...

    async def list_headers(
        self, user: UserId, after: HeaderCursor | None, limit: int
    ) -> Sequence[Header]:
        """Sessions that have turns, newest first."""
        ...

    async def change_header(
        self, user: UserId, header: Header, change: HeaderChange
    ) -> Header | None:
        """Set the changeable fields if the header still has this ETag; None if it does not.

        Idempotent: the same values are set again.
        """
        ...

    async def shorten(self, user: UserId, header: Header, expires_at: datetime) -> None:
        """Make everything of the session that lives longer expire then, the header last.

        Idempotent: the second time, nothing lives longer.
        """
        ...


@dataclass(frozen=True, slots=True)
class DataItem:
    """One item of session data: a JSON value under a name, until it expires."""

    name: DataName
    value: JsonValue
    updated_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class DataEntry:
    """An item of session data without its value; `bytes` is its size as stored."""

    name: DataName
    bytes: int
    updated_at: datetime
    expires_at: datetime


class SessionDataStore(Protocol):
    """Session data: what an agent keeps with a session, and results of its tools.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def read_data(self, user: UserId, header: Header, name: DataName) -> DataItem | None:
        """The item, if it belongs to this incarnation of the session."""
        ...

    async def list_data(
        self, user: UserId, header: Header, after: DataName | None, limit: int
    ) -> Sequence[DataEntry]:
        """Items of this incarnation of the session whose names follow `after`, by name."""
        ...

    async def write_data(self, user: UserId, header: Header, item: DataItem) -> bool:
        """Write the item if the session is still the same one; False if it is not.

        Idempotent: the same item is written again.
        """
        ...

    async def delete_data(self, user: UserId, header: Header, name: DataName) -> None:
        """Delete the item. Idempotent: it is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What remains of a deleted session until it has been swept once more."""

    user: UserId
    session: SessionId
    gen: Gen


class TombstoneStore(Protocol):
    """Deletes sessions, and remembers which ones to sweep again.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def delete_header(self, user: UserId, header: Header, due_at: datetime) -> CommitOutcome:
        """Replace the header by a tombstone in one batch, unless it was written meanwhile.

        Idempotent: the second batch finds no header.
        """
        ...

    async def sweep(self, user: UserId, gen: Gen) -> None:
        """Delete every document of the gen until a query finds none. Idempotent."""
        ...

    async def list_tombstones(self, user: UserId, session: SessionId) -> Sequence[Tombstone]:
        """The tombstones of one session."""
        ...

    async def find_due(self, now: datetime) -> Sequence[Tombstone]:
        """Due tombstones of all users, at most 1,000: one of the reads that cross partitions."""
        ...

    async def close(self, tombstone: Tombstone) -> None:
        """Delete the tombstone. Idempotent: it is gone."""
        ...
