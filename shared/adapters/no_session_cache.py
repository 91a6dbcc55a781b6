"""The Cosmos-only mode: a session cache that never holds anything."""

from collections.abc import Sequence

from shared.domain.ids import SessionId, TurnId, UserId
from shared.domain.turns import Turn
from shared.ports.cache import CachedSession, LeaseOutcome, LeaseRequest


class NoSessionCache:
    """Behaves like an empty cache; the commit alone tells duplicates apart."""

    async def open_turn(
        self,
        user: UserId,  # noqa: ARG002 - the port's signature
        session: SessionId,  # noqa: ARG002
        request: LeaseRequest,  # noqa: ARG002
    ) -> LeaseOutcome:
        """Nothing is held, by anyone."""
        return CachedSession(None, 0, ())

    async def close_turn(
        self, user: UserId, turn: Turn, owner: str, window: Sequence[Turn] | None
    ) -> None:
        """Nothing is stored."""

    async def release(self, user: UserId, session: SessionId, turn_id: TurnId, owner: str) -> None:
        """Nothing is held."""

    async def delete(self, user: UserId, session: SessionId) -> None:
        """There is nothing to delete."""
