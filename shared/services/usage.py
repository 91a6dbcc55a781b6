"""What is stored for a user and what it cost, today and in total."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from shared.domain.ids import UserId
from shared.ports.system import Clock
from shared.ports.users import UsageStore, UsageTotals, UserStore

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # earlier than anything that is stored


@dataclass(frozen=True, slots=True)
class UserUsage:
    """The totals of today, a day in UTC, and of everything."""

    day: date
    today: UsageTotals
    total: UsageTotals


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums up usage when asked; turns pay nothing for it."""

    store: UsageStore
    users: UserStore
    clock: Clock

    async def read(self, user: UserId) -> UserUsage:
        """The user's totals, without anything from before an erase.

        Raises:
            StoreUnavailable, Busy: nothing could be summed up.
        """
        epoch = await self.users.read_epoch(user)
        day = self.clock.now().date()
        midnight = datetime.combine(day, time(), UTC)
        today, total = await asyncio.gather(
            self.store.sum_usage(user, epoch, midnight),
            self.store.sum_usage(user, epoch, BEGINNING),
        )
        return UserUsage(day, today, total)
