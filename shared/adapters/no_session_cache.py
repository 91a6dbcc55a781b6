"""The session cache of a deployment without Redis."""

from collections.abc import Sequence

from shared.domain.ids import SessionId, TurnId, UserId
from shared.domain.turns import Turn
from shared.ports.cache import CachedSession, LeaseOutcome, LeaseRequest


class NoSessionCache:
    """An always empty cache; the commit alone detects duplicates."""

    async def open_turn(
        self,
        user: UserId,  # noqa: ARG002 - the port's signature
        session: SessionId,  # noqa: ARG002
        request: LeaseRequest,  # noqa: ARG002
    ) -> LeaseOutcome:
        """Return an empty session; no lease is ever held."""
        return CachedSession(None, 0, ())

    async def close_turn(
        self, user: UserId, turn: Turn, owner: str, window: Sequence[Turn] | None
    ) -> None:
        """Do nothing: nothing is stored."""

    async def release(self, user: UserId, session: SessionId, turn_id: TurnId, owner: str) -> None:
        """Do nothing: there are no leases."""

    async def delete(self, user: UserId, session: SessionId) -> None:
        """Do nothing: nothing is stored."""
