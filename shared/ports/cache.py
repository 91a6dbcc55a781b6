"""The running session, one round trip away."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.turns import Turn


class CacheUnavailable(Exception):
    """The session cache does not answer; the turn continues without it."""


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A request to be the only one working on a turn, for at most `seconds`."""

    turn_id: TurnId
    owner: str
    body_hash: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CachedSession:
    """What the cache holds of a session: its gen, the turn count it matches, turns in order.

    Without a gen it holds nothing.
    """

    gen: Gen | None
    count: int
    turns: Sequence[Turn]


@dataclass(frozen=True, slots=True)
class LeaseHeld:
    """Another request is working on this turn, for at most `seconds` from now."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LeaseConflict:
    """Another request is working on this turn id with a different body."""


LeaseOutcome = CachedSession | LeaseHeld | LeaseConflict


class SessionCache(Protocol):
    """The running session. It may be stale, empty or unavailable; it only saves time.

    Every method raises CacheUnavailable if the cache does not answer in time.
    """

    async def open_turn(
        self, user: UserId, session: SessionId, request: LeaseRequest
    ) -> LeaseOutcome:
        """Take the lease of a turn and read the session.

        Idempotent: a repeat finds the same owner's lease.
        """
        ...

    async def close_turn(
        self, user: UserId, turn: Turn, owner: str, window: Sequence[Turn] | None
    ) -> None:
        """Append a committed turn, or replace everything by window and turn; drop the lease.

        Idempotent: content that is already there, or newer, stays. A deleted session does not
        come back.
        """
        ...

    async def release(self, user: UserId, session: SessionId, turn_id: TurnId, owner: str) -> None:
        """End the owner's lease. Idempotent: another owner's lease is not touched."""
        ...

    async def delete(self, user: UserId, session: SessionId) -> None:
        """Delete everything of the session. Idempotent: there is nothing left to delete."""
        ...
