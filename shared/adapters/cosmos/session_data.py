"""Session data in the `memory` container."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, Batch, CosmosContainers
from shared.adapters.cosmos.errors import ItemChanged, ItemMissing
from shared.adapters.cosmos.items import data_item_id, header_id, set_fields, with_size
from shared.adapters.cosmos.times import read_time, ttl_until, write_time
from shared.domain.errors import Contended
from shared.domain.ids import DataName, UserId
from shared.domain.sessions import Header
from shared.ports.sessions import DataEntry, DataItem
from shared.ports.system import Clock


@dataclass(frozen=True, slots=True)
class CosmosSessionData:
    """One item per name, written in a batch that also patches the header.

    The batch fails if the session has been deleted.
    """

    containers: CosmosContainers
    clock: Clock

    async def read_data(self, user: UserId, header: Header, name: DataName) -> DataItem | None:
        """Read one item; None if it belongs to another incarnation of the session."""
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

    async def list_data(
        self, user: UserId, header: Header, after: DataName | None, limit: int
    ) -> Sequence[DataEntry]:
        """List items by name, without their values."""
        parameters = {
            "@user_id": user.value,
            "@session_id": header.session_id.value,
            "@gen": header.gen.value,
            "@after": after.value if after else "",
            "@limit": limit,
        }
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.on_one_line(sql.LIST_DATA),
                parameters=sql.to_parameters(parameters),
                partition_key=user.value,
            )
            return [_entry_of(item) async for item in found]

    async def write_data(self, user: UserId, header: Header, item: DataItem) -> bool:
        """Write the item in one batch with a patch of the header; False if the session changed.

        Idempotent: the same item is written again.
        """
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
            ("upsert", (with_size(document),), {}),
        ]
        try:
            await self.containers.write_batch(MEMORY, user, batch)
        except (ItemChanged, ItemMissing, Contended):
            return False
        return True

    async def delete_data(self, user: UserId, header: Header, name: DataName) -> None:
        """Delete the item. Idempotent: it is gone."""
        try:
            async with self.containers.call(MEMORY) as container:
                await container.delete_item(
                    data_item_id(header.session_id, header.gen, name), user.value
                )
        except ItemMissing:
            return


def _touch(header: Header, item_expires_at: datetime, now: datetime) -> dict[str, Any]:
    """The header fields to set: a write restarts the time to live, so the rest of it is set again.

    Before the first turn, the header lives as long as the longest-lived item.
    """
    if header.turn_count > 0 and header.expires_at:
        expires_at = header.expires_at
    else:
        expires_at = max(header.expires_at or now, item_expires_at)
    return {
        "touched_at": write_time(now),
        "expires_at": write_time(expires_at),
        "ttl": ttl_until(expires_at, now),
    }


def _entry_of(item: Mapping[str, Any]) -> DataEntry:
    return DataEntry(
        name=DataName(item["name"]),
        bytes=item.get("bytes", 0),
        updated_at=read_time(item["updated_at"]),
        expires_at=read_time(item["expires_at"]),
    )
