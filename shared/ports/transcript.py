"""The turns of sessions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.turns import Header, Turn
from shared.ports.commits import CommitOutcome, Draft


class TranscriptStore(Protocol):
    """Turns, each stored once.

    Every method raises StoreUnavailable when the store does not answer, and Busy when it has no request units left.
    """

    async def commit_turn(self, user: UserId, draft: Draft, expires_at: datetime) -> CommitOutcome:
        """Create the turn and move the header from seq - 1 to seq, in one batch, if its gen and count still fit.

        The header lives until `expires_at`, which is no earlier than the turn's.

        Twice is harmless: the second create is refused by its id. Never raises for a lost answer.
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
        """Turns with a greater seq, in order."""
        ...
