"""Session headers in the `memory` container."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from azure.core import MatchConditions

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, Batch, CosmosContainers
from shared.adapters.cosmos.errors import ItemChanged, ItemExists, ItemMissing
from shared.adapters.cosmos.items import empty_header, header_id, header_of, set_fields
from shared.adapters.cosmos.times import remaining_ttl, ttl_until, write_time
from shared.adapters.cosmos.users import USER_ID, CosmosUsers
from shared.domain.errors import Contended, StoreUnavailable
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.sessions import Header
from shared.ports.sessions import HeaderChange, HeaderCursor
from shared.ports.system import Clock


@dataclass(frozen=True, slots=True)
class CosmosSessions:
    """Reads headers by point read or by a query within one partition."""

    containers: CosmosContainers
    users: CosmosUsers
    clock: Clock

    async def read_header(self, user: UserId, session: SessionId) -> Header | None:
        """Read the header; None if there is none."""
        try:
            async with self.containers.call(MEMORY) as container:
                item = await container.read_item(header_id(session), user.value)
        except ItemMissing:
            return None
        return header_of(item, self.clock.now()) if item["session_id"] == session.value else None

    async def open_session(
        self, user: UserId, session: SessionId, agent_id: str | None, now: datetime
    ) -> None:
        """Create an empty header with a new generation, unless one exists.

        The batch is conditional on the user's epoch. Idempotent: the id refuses a second create.
        No outcome is an error, because the caller reads the header afterwards.
        """
        epoch = await self.users.ensure_epoch(user)
        fresh = empty_header(user, session, Gen(uuid4().hex), epoch, agent_id, now)
        count_write = [{"op": "incr", "path": "/writes", "value": 1}]
        batch: Batch = [
            ("patch", (USER_ID, count_write), {"filter_predicate": sql.unchanged_epoch(epoch)}),
            ("create", (fresh,), {}),
        ]
        try:
            await self.containers.write_batch(MEMORY, user, batch)
        except (ItemExists, ItemChanged, ItemMissing, StoreUnavailable, Contended):
            return

    async def list_headers(
        self, user: UserId, after: HeaderCursor | None, limit: int
    ) -> Sequence[Header]:
        """Sessions with turns, newest first."""
        parameters: dict[str, Any] = {"@user_id": user.value, "@limit": limit}
        text = sql.LIST_SESSIONS
        if after:
            text = sql.LIST_SESSIONS_AFTER
            parameters |= {
                "@last_active_at": write_time(after.last_active_at),
                "@id": header_id(after.session),
            }
        async with self.containers.call(MEMORY) as container:
            pages = container.query_items(
                sql.on_one_line(text),
                parameters=sql.to_parameters(parameters),
                partition_key=user.value,
                max_item_count=limit,
            )
            return [header_of(item, self.clock.now()) async for item in pages]

    async def change_header(
        self, user: UserId, header: Header, change: HeaderChange
    ) -> Header | None:
        """Set the changeable fields if the header still has this ETag; None if it does not.

        Idempotent: the same values are set again.
        """
        fields = {
            "title": change.title,
            "strategy": change.strategy,
            "ttl_seconds": change.ttl_seconds,
        } | remaining_ttl(header, self.clock.now())
        try:
            async with self.containers.call(MEMORY) as container:
                item = await container.patch_item(
                    header_id(header.session_id),
                    user.value,
                    set_fields(fields),
                    etag=header.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
        except (ItemChanged, ItemMissing, Contended):
            return None
        return header_of(item, self.clock.now())

    async def shorten(self, user: UserId, header: Header, expires_at: datetime) -> None:
        """Shorten 100 documents at a time until none lives longer, then the header. Idempotent."""
        while ids := await self._list_longer_lived(user, header, expires_at):
            await self._set_expiry(user, ids, expires_at)
        await self._set_expiry(user, [header_id(header.session_id)], expires_at)

    async def _list_longer_lived(
        self, user: UserId, header: Header, expires_at: datetime
    ) -> list[str]:
        parameters = {
            "@user_id": user.value,
            "@gen": header.gen.value,
            "@expires_at": write_time(expires_at),
        }
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.on_one_line(sql.LIST_LONGER_LIVED),
                parameters=sql.to_parameters(parameters),
                partition_key=user.value,
            )
            return [item["id"] async for item in found]

    async def _set_expiry(self, user: UserId, ids: Sequence[str], expires_at: datetime) -> None:
        fields = {
            "expires_at": write_time(expires_at),
            "ttl": ttl_until(expires_at, self.clock.now()),
        }
        batch: Batch = [("patch", (item_id, set_fields(fields)), {}) for item_id in ids]
        try:
            await self.containers.write_batch(MEMORY, user, batch)
        except (ItemMissing, ItemChanged, Contended):
            return  # one has expired or was deleted: the next query returns those that are left
