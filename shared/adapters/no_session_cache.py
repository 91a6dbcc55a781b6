"""The Cosmos-only mode: a session cache that never holds anything."""

from collections.abc import Sequence

from shared.domain.ids import SessionId, TurnId, UserId
from shared.domain.turns import Turn
from shared.ports.cache import CachedSession, LeaseRequest, OpenedTurn


class NoSessionCache:
    """Answers as an empty cache would; duplicates are then told apart by the commit alone."""

    async def open_turn(
        self,
        user: UserId,
        session: SessionId,
        request: LeaseRequest,  # noqa: ARG002
    ) -> OpenedTurn:
        """Nothing is held, by nobody."""
        return CachedSession(None, 0, ())

    async def close_turn(
        self, user: UserId, turn: Turn, owner: str, window: Sequence[Turn] | None
    ) -> None:
        """Nothing is kept."""

    async def release(self, user: UserId, session: SessionId, turn_id: TurnId, owner: str) -> None:
        """Nothing is held."""

    async def forget(self, user: UserId, session: SessionId) -> None:
        """Nothing is there."""
