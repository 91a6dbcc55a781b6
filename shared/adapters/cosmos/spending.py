"""What a user has spent: totals on the user's document, and a document for each day."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from shared.adapters.cosmos.containers import MEMORY, Batch, CosmosContainers
from shared.adapters.cosmos.errors import ItemExists, ItemMissing
from shared.adapters.cosmos.items import Item
from shared.adapters.cosmos.times import ttl_until, write_time
from shared.adapters.cosmos.users import USER_ID, CosmosUsers
from shared.domain.errors import StoreUnavailable
from shared.domain.ids import UserId
from shared.domain.spending import NOTHING, Spending
from shared.ports.system import Clock
from shared.ports.users import Spent
from shared.telemetry.meter import current_meter

TOTAL, WORK, OTHER = "spent", "work", "other"  # prefixes of the counters' names
DAYS_KEPT = timedelta(days=40)


@dataclass(frozen=True, slots=True)
class CosmosSpending:
    """Counters in the user's partition."""

    containers: CosmosContainers
    users: CosmosUsers
    clock: Clock

    async def write_batch(self, user: UserId, batch: Batch, *, turns: int = 0) -> None:
        """Execute the batch and, in it, count what the request has spent since the last one.

        So nothing is counted twice or lost, whatever happens to the response: a batch that may have
        been applied counts once it is confirmed.

        Raises:
            The errors of `CosmosContainers.write_batch`.
        """
        meter = current_meter()
        spent = meter.spent - meter.recorded + Spending(turns=turns)
        counted = [*batch, *_count(USER_ID, TOTAL, spent)]
        try:
            await self._write(user, counted)
        except (StoreUnavailable, asyncio.CancelledError):
            meter.unconfirmed = spent
            raise
        meter.record(spent)

    async def _write(self, user: UserId, batch: Batch) -> None:
        """Execute the batch; create the user's document first if that is what is missing."""
        try:
            await self._write_existing(user, batch)
        except ItemMissing:
            if not await self.users.create(user):
                raise
            await self._write_existing(user, batch)

    async def _write_existing(self, user: UserId, batch: Batch) -> None:
        await self.containers.write_batch(MEMORY, user, batch)

    async def read_spent(self, user: UserId, day: date) -> Spent:
        """The user's total, and the counters of that day; zeros where there is no document."""
        total, of_day = await self._read(user, USER_ID), await self._read(user, _day_id(day))
        return Spent(
            total=_spending(total, TOTAL),
            today=_spending(of_day, WORK),
            other_today=_spending(of_day, OTHER),
        )

    async def add_spent(self, user: UserId, day: date, more: Spent) -> None:
        """Add to the total and to that day's counters in one batch; create missing documents.

        Not idempotent: if the response is lost, do not repeat it.
        """
        batch = [
            *_count(USER_ID, TOTAL, more.total),
            *_count(_day_id(day), WORK, more.today),
            *_count(_day_id(day), OTHER, more.other_today),
        ]
        write = self._write if more.total != NOTHING else self._write_existing
        try:
            await write(user, batch)
        except ItemMissing:
            await self._create_day(user, day)
            await write(user, batch)

    async def _create_day(self, user: UserId, day: date) -> None:
        expires_at = datetime.combine(day, time(), UTC) + DAYS_KEPT
        item: Item = {
            "id": _day_id(day),
            "user_id": user.value,
            "kind": "day",
            "expires_at": write_time(expires_at),
            "ttl": ttl_until(expires_at, self.clock.now()),
        }
        try:
            async with self.containers.call(MEMORY) as container:
                await container.create_item(item)
        except ItemExists:
            return

    async def _read(self, user: UserId, item_id: str) -> Mapping[str, Any]:
        try:
            async with self.containers.call(MEMORY) as container:
                return await container.read_item(item_id, user.value)
        except ItemMissing:
            return {}


def _day_id(day: date) -> str:
    return f"d:{day.isoformat()}"


def _count(item_id: str, prefix: str, spent: Spending) -> Batch:
    """The batch operation that adds to these counters, if there is anything to add.

    A counter that does not exist yet starts at zero.
    """
    patch = [
        {"op": "incr", "path": f"/{prefix}_{name}", "value": value}
        for name, value in asdict(spent).items()
        if value
    ]
    return [("patch", (item_id, patch), {})] if patch else []


def _spending(item: Mapping[str, Any], prefix: str) -> Spending:
    return Spending(**{name: item.get(f"{prefix}_{name}", 0) for name in asdict(NOTHING)})
