"""A user's usage: what is stored now, and what was spent."""

import asyncio
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import date

from shared.domain.errors import Busy
from shared.domain.ids import UserId
from shared.domain.spending import NOTHING
from shared.ports.system import Clock
from shared.ports.users import SpendingStore, Spent, StoredTotals, UsageStore, UserStore
from shared.telemetry import digest, log_failure
from shared.telemetry.meter import Meter

MAX_WRITES = 8  # at a time
MAX_UNCOUNTED = 10_000  # users of whom a worker remembers what was spent; further ones do not count


class SpendingCounter:
    """Counts what a worker's requests have spent and no batch has recorded, at most a minute late.

    Best effort: what a worker has not counted when it is killed is lost. That is what requests
    spent that stored no turn, and of the others what the commit itself cost.
    """

    def __init__(self, store: SpendingStore, clock: Clock, seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._seconds = seconds
        self._uncounted: dict[tuple[UserId, date], Spent] = {}
        self._later: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._slots = asyncio.Semaphore(MAX_WRITES)

    def count(self, user: UserId, meter: Meter) -> None:
        """Count what the request has spent since it was last counted. Idempotent.

        Not while its turn is in progress: that counts at its end. What a batch without a response
        may have recorded is not counted again.
        """
        if meter.turns_in_progress:
            return
        since, unrecorded = meter.spent - meter.counted, meter.spent - meter.recorded
        meter.counted = meter.spent
        if meter.is_work:
            more = Spent(total=unrecorded - meter.unconfirmed, today=since)
            meter.recorded = meter.spent - meter.unconfirmed
        else:
            more = Spent(other_today=since - meter.unconfirmed)
        key = (user, self._clock.now().date())
        if since == NOTHING or (key not in self._uncounted and self._is_full):
            return
        self._uncounted[key] = self._uncounted.get(key, Spent()) + more
        if self._later is None or self._later.done():  # in a context without a request's meter
            self._later = asyncio.get_running_loop().create_task(
                self._write_later(), context=Context()
            )

    async def write(self, user: UserId | None = None) -> None:
        """Write what is not yet counted, of one user or of all, some at a time. Never fails."""
        keys = [key for key in self._uncounted if user in {None, key[0]}]
        await asyncio.gather(*(self._write(*key) for key in keys))

    async def close(self) -> None:
        """Write everything now. Idempotent."""
        self._closing.set()
        if self._later:
            await self._later
        await self.write()

    @property
    def _is_full(self) -> bool:
        return len(self._uncounted) >= MAX_UNCOUNTED

    async def _write_later(self) -> None:
        while self._uncounted and not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._seconds)
            await self.write()

    async def _write(self, user: UserId, day: date) -> None:
        async with self._slots:
            if more := self._uncounted.pop((user, day), None):
                await self._add(user, day, more)

    async def _add(self, user: UserId, day: date, more: Spent) -> None:
        try:
            await self._store.add_spent(user, day, more)
        except Busy:  # refused: nothing was added
            self._uncounted[user, day] = self._uncounted.get((user, day), Spent()) + more
        except Exception as failed:  # noqa: BLE001 - it may have been added
            log_failure("spending_not_counted", failed, subject=digest(user.value))


@dataclass(frozen=True, slots=True)
class UserUsage:
    """What is stored now, and what was spent; `day` is today in UTC."""

    day: date
    stored: StoredTotals
    spent: Spent


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums up usage when asked."""

    store: UsageStore
    users: UserStore
    spending: SpendingStore
    counter: SpendingCounter
    clock: Clock

    async def read(self, user: UserId) -> UserUsage:
        """The user's usage. Nothing from before an erase counts as stored; it was spent.

        Raises:
            StoreUnavailable, Busy: nothing could be summed up.
        """
        day = self.clock.now().date()
        await self.counter.write(user)
        epoch = await self.users.read_epoch(user)
        stored, spent = await asyncio.gather(
            self.store.sum_stored(user, epoch), self.spending.read_spent(user, day)
        )
        return UserUsage(day, stored, spent)
