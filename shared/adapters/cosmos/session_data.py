"""Session data in the `memory` container."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, Batch, CosmosContainers
from shared.adapters.cosmos.errors import ItemChanged, ItemMissing
from shared.adapters.cosmos.items import (
    data_item_id,
    header_id,
    measured,
    read_time,
    set_fields,
    ttl_until,
    write_time,
)
from shared.domain.errors import Contended
from shared.domain.ids import DataName, UserId
from shared.domain.sessions import Header
from shared.ports.sessions import DataItem
from shared.ports.system import Clock
from shared.telemetry.meter import current_meter


@dataclass(frozen=True, slots=True)
class CosmosSessionData:
    """One item per name, written with a touch of the header, which a deleted session lacks."""

    containers: CosmosContainers
    clock: Clock

    async def read_data(self, user: UserId, header: Header, name: DataName) -> DataItem | None:
        """One point read; an item of another incarnation does not count."""
        try:
            async with self.containers.call(MEMORY) as container:
                item = await container.read_item(
                    data_item_id(header.session_id, header.gen, name), user.value
                )
        except ItemMissing:
            return None
        if (item["name"], item["gen"]) != (name.value, header.gen.value):
            return None
        return DataItem(
            name, item["value"], read_time(item["updated_at"]), read_time(item["expires_at"])
        )

    async def write_data(self, user: UserId, header: Header, item: DataItem) -> bool:
        """One batch: touch the header if it is the same incarnation, write the item."""
        now = self.clock.now()
        document = {
            "id": data_item_id(header.session_id, header.gen, item.name),
            "user_id": user.value,
            "kind": "data",
            "session_id": header.session_id.value,
            "gen": header.gen.value,
            "epoch": header.epoch,
            "name": item.name.value,
            "value": item.value,
            "updated_at": write_time(item.updated_at),
            "expires_at": write_time(item.expires_at),
            "ttl": ttl_until(item.expires_at, now),
        }
        touch = set_fields(_touch(header, item.expires_at, now))
        condition = sql.same_incarnation(header.gen)
        batch: Batch = [
            ("patch", (header_id(header.session_id), touch), {"filter_predicate": condition}),
            ("upsert", (measured(document, current_meter()),), {}),
        ]
        try:
            await self.containers.write_batch(MEMORY, user, batch)
        except (ItemChanged, ItemMissing, Contended):
            return False
        return True

    async def delete_data(self, user: UserId, header: Header, name: DataName) -> None:
        """Delete the item."""
        try:
            async with self.containers.call(MEMORY) as container:
                await container.delete_item(
                    data_item_id(header.session_id, header.gen, name), user.value
                )
        except ItemMissing:
            return


def _touch(header: Header, item_expires_at: datetime, now: datetime) -> dict[str, Any]:
    """A write restarts the header's time to live, so it is set again.

    Before the first turn it is that of the item.
    """
    began = header.turn_count > 0 and header.expires_at
    expires_at = (
        header.expires_at
        if began and header.expires_at
        else max(header.expires_at or now, item_expires_at)
    )
    return {
        "touched_at": write_time(now),
        "expires_at": write_time(expires_at),
        "ttl": ttl_until(expires_at, now),
    }
