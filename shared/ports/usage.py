"""What is kept of a user, added up."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What is kept of a user: how many of each, their bytes, and what making them took."""

    sessions: int
    turns: int
    values: int
    bytes: int
    prompt_tokens: int
    completion_tokens: int
    embedding_tokens: int
    request_units: float


class UsageStore(Protocol):
    """Adds up what is kept of a user; nothing is counted beside it, so nothing can go out of step.

    Every method raises StoreUnavailable when the store does not answer, and Busy when it has no request units left.
    """

    async def add_up(self, user: UserId, epoch: int, since: datetime) -> Used:
        """Sessions active, turns stored and values set since then, none from before the epoch."""
        ...
