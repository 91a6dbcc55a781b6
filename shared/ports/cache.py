"""The running session, one round trip away."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.turns import Turn


class CacheUnavailable(Exception):
    """The session cache does not answer; the turn goes on without it."""


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Who asks to work on which turn, and for how long at most."""

    turn_id: TurnId
    owner: str
    body_hash: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CachedSession:
    """What the cache holds of a session: its gen, the count it is good for, turns in order; without a gen, nothing."""

    gen: Gen | None
    count: int
    turns: Sequence[Turn]


@dataclass(frozen=True, slots=True)
class LeaseHeld:
    """Another request works on this turn, for so many seconds at most."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LeaseConflict:
    """Another request works on this turn id with another body."""


OpenedTurn = CachedSession | LeaseHeld | LeaseConflict


class SessionCache(Protocol):
    """The running session, one round trip away. It may be stale, empty or away; it only saves time."""

    async def open_turn(
        self, user: UserId, session: SessionId, request: LeaseRequest
    ) -> OpenedTurn:
        """Take the lease of a turn and read the session. Twice is harmless: it is the same owner's lease.

        Raises:
            CacheUnavailable: from every method, when the cache does not answer in time.
        """
        ...

    async def close_turn(
        self, user: UserId, turn: Turn, owner: str, window: Sequence[Turn] | None
    ) -> None:
        """Add a committed turn, or replace all by window and turn, and drop the lease.

        Twice is harmless: what is there, or ahead, stays. A session that was forgotten is not brought back.
        """
        ...

    async def release(self, user: UserId, session: SessionId, turn_id: TurnId, owner: str) -> None:
        """End the owner's lease. Twice is harmless."""
        ...

    async def forget(self, user: UserId, session: SessionId) -> None:
        """Drop everything of the session. Twice is harmless."""
        ...
