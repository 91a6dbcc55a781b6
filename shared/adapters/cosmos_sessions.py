"""Session headers in the `memory` container."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from azure.core import MatchConditions

from shared.adapters import cosmos_queries as sql
from shared.adapters.cosmos_client import Batch, CosmosContainers
from shared.adapters.cosmos_errors import ItemChanged, ItemExists, ItemMissing
from shared.adapters.cosmos_items import empty_header, header_id, header_of, set_fields, ttl_until, write_time
from shared.adapters.cosmos_users import MEMORY, USER_ID, CosmosUsers
from shared.domain.errors import StoreUnavailable
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.turns import Header
from shared.ports import Clock, HeaderChange, HeaderCursor


class CosmosSessions:
    """Headers by point read and by one-partition query."""

    def __init__(self, containers: CosmosContainers, users: CosmosUsers, clock: Clock) -> None:
        """Take the worker's containers."""
        self._containers = containers
        self._users = users
        self._clock = clock

    async def read_header(self, user: UserId, session: SessionId) -> Header | None:
        """The header, or None."""
        try:
            async with self._containers.call(MEMORY) as container:
                item = await container.read_item(header_id(session), user.value)
        except ItemMissing:
            return None
        return header_of(item) if item["session_id"] == session.value else None

    async def open_session(self, user: UserId, session: SessionId, agent_id: str | None, now: datetime) -> None:
        """Make an empty header of a fresh gen, fenced by the user's epoch, unless there is one.

        Twice is harmless: one create wins by its id. Which one, the caller reads; so no outcome is an error here.
        """
        epoch = await self._users.ensure_epoch(user)
        fresh = empty_header(user, session, Gen(uuid4().hex), epoch, agent_id, now)
        count_write = [{"op": "incr", "path": "/writes", "value": 1}]
        batch: Batch = [
            ("patch", (USER_ID, count_write), {"filter_predicate": sql.unchanged_epoch(epoch)}),
            ("create", (fresh,), {}),
        ]
        try:
            await self._containers.write_batch(MEMORY, user, batch)
        except (ItemExists, ItemChanged, ItemMissing, StoreUnavailable):
            return

    async def list_headers(self, user: UserId, after: HeaderCursor | None, limit: int) -> Sequence[Header]:
        """Sessions with turns, newest first."""
        parameters: dict[str, Any] = {"@user_id": user.value, "@limit": limit}
        text = sql.LIST_SESSIONS
        if after:
            text = sql.LIST_SESSIONS_AFTER
            parameters |= {"@last_active_at": write_time(after.last_active_at), "@id": header_id(after.session)}
        async with self._containers.call(MEMORY) as container:
            pages = container.query_items(
                sql.squeeze(text), parameters=sql.named(parameters), partition_key=user.value, max_item_count=limit
            )
            return [header_of(item) async for item in pages]

    async def change_header(self, user: UserId, header: Header, change: HeaderChange) -> Header | None:
        """Set the changeable fields if the header is still at this etag."""
        fields = {
            "title": change.title,
            "strategy": change.strategy,
            "ttl_seconds": change.ttl_seconds,
            "expires_at": write_time(change.expires_at),
            "ttl": ttl_until(change.expires_at, self._clock.now()),
        }
        try:
            async with self._containers.call(MEMORY) as container:
                item = await container.patch_item(
                    header_id(header.session_id),
                    user.value,
                    set_fields(fields),
                    etag=header.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
        except (ItemChanged, ItemMissing):
            return None
        return header_of(item)
