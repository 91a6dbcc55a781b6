"""A session: its header, and what its user may change about it."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.errors import PreconditionFailed
from shared.domain.ids import Gen, SessionId, TurnId
from shared.domain.summaries import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is known about one incarnation of a session without reading its turns.

    `etag` is the store's version. The session is due for consolidation once `due_at` has passed.
    After `attempts` failures in a row it may be dead-lettered, with the reason. From turn
    `vectors_from` on, turns may lack the vectors that consolidation should have added.
    `committed_at` is when the newest turn was stored, however long ago it was said.
    `loop_turn` started the tool loop that the newest turn is part of.
    """

    session_id: SessionId
    gen: Gen
    epoch: int
    turn_count: int
    consolidated_seq: int
    title: str | None = None
    agent_id: str | None = None
    summary: Summary | None = None
    ttl_seconds: int | None = None
    created_at: datetime
    last_active_at: datetime
    expires_at: datetime | None
    committed_at: datetime | None = None
    due_at: datetime | None = None
    attempts: int = 0
    dead_lettered: str | None = None
    vectors_from: int | None = None
    loop_turn: TurnId | None = None
    has_data: bool = False
    etag: str

    @property
    def is_shown(self) -> bool:
        """Whether users see the session: one that has only been opened does not exist for them."""
        return self.turn_count > 0 or self.has_data

    @property
    def shown_title(self) -> str | None:
        """The user's own title, otherwise the summary's."""
        return self.title or (self.summary.title if self.summary else None)


@dataclass(frozen=True, slots=True)
class SessionPatch:
    """A JSON merge patch of a session: only the fields in `given` count; None clears a field."""

    given: frozenset[str]
    title: str | None = None
    ttl_seconds: int | None = None

    def apply(self, header: Header) -> Header:
        """Return the header with the patch applied."""
        return replace(header, **{name: getattr(self, name) for name in self.given})


def empty_header(session: SessionId, gen: Gen, epoch: int, now: datetime) -> Header:
    """The header of a session that has no turns and is not stored yet."""
    return Header(
        session_id=session,
        gen=gen,
        epoch=epoch,
        turn_count=0,
        consolidated_seq=0,
        created_at=now,
        last_active_at=now,
        expires_at=None,
        etag="",
    )


def session_etag(header: Header) -> str:
    """Digest of what a user sees of the session."""
    identity = header.gen.value, header.turn_count, header.consolidated_seq
    seen = repr((*identity, header.title))
    return hashlib.sha256(f"{seen}{header.ttl_seconds}".encode()).hexdigest()[:32]


def check_etag(header: Header, if_match: str | None) -> None:
    """Accept the version that the caller saw, or any version if the caller does not say.

    Raises:
        PreconditionFailed: the session has changed since.
    """
    if if_match not in {None, "*", session_etag(header)}:
        raise PreconditionFailed("The session has changed; read it again", target="If-Match")
