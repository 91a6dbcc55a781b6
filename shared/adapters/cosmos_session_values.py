"""Values kept with a session, in the `memory` container."""

from datetime import datetime
from typing import Any

from shared.adapters import cosmos_queries as sql
from shared.adapters.cosmos_client import Batch, CosmosContainers
from shared.adapters.cosmos_errors import ItemChanged, ItemMissing
from shared.adapters.cosmos_items import (
    header_id,
    measured,
    read_time,
    set_fields,
    ttl_until,
    value_id,
    write_time,
)
from shared.adapters.cosmos_users import MEMORY
from shared.domain.errors import Contended
from shared.domain.ids import DataName, UserId
from shared.domain.turns import Header
from shared.metering import current_meter
from shared.ports.clock import Clock
from shared.ports.values import SessionValue


class CosmosSessionValues:
    """One item per value, written together with a touch of the header, so that a deleted session takes none."""

    def __init__(self, containers: CosmosContainers, clock: Clock) -> None:
        """Take the worker's containers."""
        self._containers = containers
        self._clock = clock

    async def read_value(self, user: UserId, header: Header, name: DataName) -> SessionValue | None:
        """One point read; a value of another incarnation is none."""
        try:
            async with self._containers.call(MEMORY) as container:
                item = await container.read_item(
                    value_id(header.session_id, header.gen, name), user.value
                )
        except ItemMissing:
            return None
        if (item["name"], item["gen"]) != (name.value, header.gen.value):
            return None
        return SessionValue(
            name, item["value"], read_time(item["updated_at"]), read_time(item["expires_at"])
        )

    async def write_value(self, user: UserId, header: Header, value: SessionValue) -> bool:
        """One batch: touch the header if it is the same incarnation, set the value."""
        now = self._clock.now()
        item = {
            "id": value_id(header.session_id, header.gen, value.name),
            "user_id": user.value,
            "kind": "data",
            "session_id": header.session_id.value,
            "gen": header.gen.value,
            "epoch": header.epoch,
            "name": value.name.value,
            "value": value.value,
            "updated_at": write_time(value.updated_at),
            "expires_at": write_time(value.expires_at),
            "ttl": ttl_until(value.expires_at, now),
        }
        touch = set_fields(_touch(header, value.expires_at, now))
        condition = sql.same_incarnation(header.gen)
        batch: Batch = [
            ("patch", (header_id(header.session_id), touch), {"filter_predicate": condition}),
            ("upsert", (measured(item, current_meter()),), {}),
        ]
        try:
            await self._containers.write_batch(MEMORY, user, batch)
        except (ItemChanged, ItemMissing, Contended):
            return False
        return True

    async def delete_value(self, user: UserId, header: Header, name: DataName) -> None:
        """Delete the item."""
        try:
            async with self._containers.call(MEMORY) as container:
                await container.delete_item(
                    value_id(header.session_id, header.gen, name), user.value
                )
        except ItemMissing:
            return


def _touch(header: Header, value_expires_at: datetime, now: datetime) -> dict[str, Any]:
    """A write starts the header's time to live anew, so it is set again; before the first turn it is the value's."""
    began = header.turn_count > 0 and header.expires_at
    expires_at = (
        header.expires_at
        if began and header.expires_at
        else max(header.expires_at or now, value_expires_at)
    )
    return {
        "touched_at": write_time(now),
        "expires_at": write_time(expires_at),
        "ttl": ttl_until(expires_at, now),
    }
