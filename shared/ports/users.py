"""The user's own document, and what is stored for the user."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import UserId


class UserStore(Protocol):
    """The user's own document: the epoch that fences off everything from before an erase.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def read_epoch(self, user: UserId) -> int:
        """The user's epoch; 0 for a user who has none yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """What is stored for a user: how many of each, their bytes, and what creating them cost."""

    sessions: int
    turns: int
    session_data: int
    bytes: int
    prompt_tokens: int
    completion_tokens: int
    embedding_tokens: int
    request_units: float


class UsageStore(Protocol):
    """Sums up what is stored for a user; there is no second count that could drift away from it.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def sum_usage(self, user: UserId, epoch: int, since: datetime) -> UsageTotals:
        """Sessions active, turns stored and session data written since then, in this epoch."""
        ...
