"""What a user takes of the stores and of the model: of all that is kept, and of today."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from shared.domain.ids import UserId
from shared.ports.clock import Clock
from shared.ports.usage import UsageStore, Used
from shared.ports.users import UserStore

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # earlier than anything that is kept


@dataclass(frozen=True, slots=True)
class UserUsage:
    """Of one day in UTC, which is today, and in all."""

    day: date
    today: Used
    total: Used


class Usage:
    """Reads it; a turn pays nothing for that."""

    def __init__(self, store: UsageStore, users: UserStore, clock: Clock) -> None:
        """Take the ports."""
        self._store = store
        self._users = users
        self._clock = clock

    async def read(self, user: UserId) -> UserUsage:
        """The user's figures, none from before an erase.

        Raises:
            StoreUnavailable, Busy: nothing was added up.
        """
        epoch = await self._users.read_epoch(user)
        day = self._clock.now().date()
        midnight = datetime.combine(day, time(), UTC)
        today, total = await asyncio.gather(
            self._store.add_up(user, epoch, midnight), self._store.add_up(user, epoch, BEGINNING)
        )
        return UserUsage(day, today, total)
