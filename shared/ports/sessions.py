"""Headers of sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, Self

from shared.domain.ids import SessionId, UserId
from shared.domain.turns import Header


@dataclass(frozen=True, slots=True)
class HeaderCursor:
    """A place in the list of sessions, newest first."""

    last_active_at: datetime
    session: SessionId

    @classmethod
    def at(cls, text: str, session: SessionId) -> Self:
        """The place that RFC 3339 text and a session say.

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
    """What a caller may change on a header; None clears a field."""

    title: str | None
    strategy: str | None
    ttl_seconds: int | None


class SessionStore(Protocol):
    """Headers of sessions. Every read is strongly consistent within the user's partition.

    Every method raises StoreUnavailable when the store does not answer, and Busy when it has no request units left.
    """

    async def read_header(self, user: UserId, session: SessionId) -> Header | None:
        """The header, or None; expired headers are not there."""
        ...

    async def open_session(
        self, user: UserId, session: SessionId, agent_id: str | None, now: datetime
    ) -> None:
        """Make an empty header unless there is one. Twice is harmless: the second create is refused by its id."""
        ...

    async def list_headers(
        self, user: UserId, after: HeaderCursor | None, limit: int
    ) -> Sequence[Header]:
        """Sessions with at least one turn, newest first, of the user's current epoch."""
        ...

    async def change_header(
        self, user: UserId, header: Header, change: HeaderChange
    ) -> Header | None:
        """Set the changeable fields if the header is still at this etag; None when it is not.

        Twice is harmless: the same values are set again.
        """
        ...

    async def shorten(self, user: UserId, header: Header, expires_at: datetime) -> None:
        """Let everything of the session that lives longer end then, the header last.

        Twice is harmless: nothing lives longer the second time.
        """
        ...
