"""The lease of a turn, which keeps duplicates apart, and the cached session behind it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.domain.turns import Turn
from shared.ports.cache import CacheUnavailable, LeaseOutcome, LeaseRequest, SessionCache
from shared.services.turns.attempt import TurnAttempt

LEASE_MARGIN = 2.0  # seconds that a lease outlives its turn's deadline


@dataclass(frozen=True, slots=True)
class Leases:
    """Takes and ends leases. An unavailable cache costs time, never a turn."""

    cache: SessionCache

    async def take(self, attempt: TurnAttempt) -> LeaseOutcome | None:
        """Take the turn's lease and read the cached session; None if the cache is unavailable."""
        request = attempt.request
        seconds = (attempt.lease_seconds or attempt.seconds) + LEASE_MARGIN
        lease = LeaseRequest(request.turn_id, attempt.owner, attempt.body_hash, seconds)
        try:
            return await self.cache.open_turn(request.user, request.session, lease)
        except CacheUnavailable:
            return None

    async def close(self, attempt: TurnAttempt, turn: Turn, window: Sequence[Turn] | None) -> bool:
        """Hand the committed turn to the cache and end the lease.

        Returns False if the cache did not take it; then the next turn is cold.
        """
        try:
            await self.cache.close_turn(attempt.request.user, turn, attempt.owner, window)
        except CacheUnavailable:
            return False
        return True

    @asynccontextmanager
    async def held(self, attempt: TurnAttempt) -> AsyncIterator[None]:
        """Release the lease if the block fails, so that a resend need not wait for it."""
        try:
            yield
        except BaseException:
            await self._release(attempt)
            raise

    async def _release(self, attempt: TurnAttempt) -> None:
        request = attempt.request
        try:
            await self.cache.release(request.user, request.session, request.turn_id, attempt.owner)
        except CacheUnavailable:
            return  # the lease expires by itself
