"""The user's own document, and what is stored for the user."""

from dataclasses import dataclass
from datetime import date
from typing import Protocol

from shared.domain.ids import UserId
from shared.domain.spending import NOTHING, Spending


class UserStore(Protocol):
    """The user's own document: the epoch that fences off everything from before an erase.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def read_epoch(self, user: UserId) -> int:
        """The user's epoch; 0 for a user who has none yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTotals:
    """What is stored for a user now: how many of each, and their bytes."""

    sessions: int
    turns: int
    session_data: int
    bytes: int


class UsageStore(Protocol):
    """Sums up what is stored for a user; there is no second count that could drift away from it.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def sum_stored(self, user: UserId, epoch: int) -> StoredTotals:
        """What is stored in this epoch; sessions count if they have turns."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was spent for a user.

    `total` is what stored turns and background work have spent, ever; `today` is the part of it
    of one day. `other_today` is what requests that stored no turn have spent on that day.
    """

    total: Spending = NOTHING
    today: Spending = NOTHING
    other_today: Spending = NOTHING

    def __add__(self, other: "Spent") -> "Spent":
        """Both together."""
        return Spent(
            total=self.total + other.total,
            today=self.today + other.today,
            other_today=self.other_today + other.other_today,
        )


class SpendingStore(Protocol):
    """Counters of what was spent. They outlive what the spending was for.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def read_spent(self, user: UserId, day: date) -> Spent:
        """The total and that day's counters."""
        ...

    async def add_spent(self, user: UserId, day: date, more: Spent) -> None:
        """Add to the total and to that day's counters.

        Not idempotent: what may have been added is never repeated.
        """
        ...
