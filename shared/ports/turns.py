"""The turns of a session, and how the commit of one may end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, Self

from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.sessions import Header
from shared.domain.turns import Turn
from shared.domain.vectors import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A turn to commit, its vector if there is one, and what its session is like afterwards.

    `due_at` is when the session is due for consolidation, `expires_at` when it expires.
    `loop_turn` started the tool loop that goes on after this turn. `last_active_at` is the time
    of the newest message, which lies in the past for an import.
    """

    turn: Turn
    vector: Vector | None
    due_at: datetime | None
    expires_at: datetime
    last_active_at: datetime
    loop_turn: TurnId | None = None

    def after(self, header: Header) -> Self:
        """The same draft as the turn that follows the header's newest.

        The session lives as long as any of its turns, and was last active with its newest message.
        """
        earlier = header.last_active_at if header.turn_count else self.last_active_at
        return replace(
            self,
            turn=replace(self.turn, seq=header.turn_count + 1),
            expires_at=max(self.expires_at, header.expires_at or self.expires_at),
            last_active_at=max(self.last_active_at, earlier),
        )

    def advance(self, header: Header) -> Header:
        """The header once this draft is committed after it, as far as the next draft needs it."""
        return replace(
            header,
            turn_count=self.turn.seq,
            expires_at=self.expires_at,
            last_active_at=self.last_active_at,
            summary=None,
        )


@dataclass(frozen=True, slots=True)
class Committed:
    """The batch was applied: the turn has its seq."""


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """A turn with this id was committed before."""


@dataclass(frozen=True, slots=True)
class HeaderMoved:
    """The header no longer has the gen and count that the batch expects, or is gone."""


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """No answer came; the batch may or may not have been applied."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """The batch was not applied; it may be sent again after these seconds."""

    seconds: float


CommitOutcome = Committed | AlreadyThere | HeaderMoved | OutcomeUnknown | Throttled


class TurnStore(Protocol):
    """Turns, each stored once.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def commit_turn(self, user: UserId, draft: Draft) -> CommitOutcome:
        """Create the turn and advance the header from seq - 1 to seq, in one conditional batch.

        Idempotent: the id refuses a second create. A lost answer is an outcome, not an error.
        """
        ...

    async def read_turn(
        self, user: UserId, session: SessionId, gen: Gen, turn_id: TurnId
    ) -> Turn | None:
        """One turn by its id."""
        ...

    async def read_tail(self, user: UserId, header: Header) -> Sequence[Turn]:
        """The newest turns up to the header's count, oldest first: at most 20 or about 64 KB."""
        ...

    async def list_turns(
        self, user: UserId, session: SessionId, gen: Gen, after_seq: int, limit: int
    ) -> Sequence[Turn]:
        """Turns past `after_seq`, in order."""
        ...

    async def list_turns_before(
        self, user: UserId, session: SessionId, gen: Gen, before_seq: int, limit: int
    ) -> Sequence[Turn]:
        """Turns before `before_seq`, newest first."""
        ...
