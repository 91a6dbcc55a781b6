"""The turns of a session, and how the commit of one may end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, Self

from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.sessions import Header
from shared.domain.turns import Turn
from shared.domain.vectors import Vector


@dataclass(frozen=True, slots=True)
class Draft:
    """A turn to commit, its vector if there is one, and when its session is due.

    `loop_turn` started the tool loop that goes on after this turn.
    """

    turn: Turn
    vector: Vector | None
    due_at: datetime | None
    loop_turn: TurnId | None = None

    def at(self, seq: int) -> Self:
        """The same draft at this position of the session."""
        return replace(self, turn=replace(self.turn, seq=seq))


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


CommitOutcome = Committed | AlreadyThere | HeaderMoved | OutcomeUnknown


class TurnStore(Protocol):
    """Turns, each stored once.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def commit_turn(self, user: UserId, draft: Draft, expires_at: datetime) -> CommitOutcome:
        """Create the turn and advance the header from seq - 1 to seq, in one conditional batch.

        The header lives until `expires_at`, which is no earlier than the turn's own.
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
