"""Deleted sessions in the `memory` container: buried with their header, swept by their gen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, Batch, CosmosContainers
from shared.adapters.cosmos.errors import ItemChanged, ItemExists, ItemMissing
from shared.adapters.cosmos.items import header_id, tombstone_id, write_time
from shared.domain.errors import Contended, StoreUnavailable
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.sessions import Header
from shared.ports.sessions import Tombstone
from shared.ports.turns import CommitOutcome, Committed, HeaderMoved, OutcomeUnknown

DUE_AT_A_TIME = 1000  # one page: the timer comes again


@dataclass(frozen=True, slots=True)
class CosmosTombstones:
    """Graves, and the sweep of what lies in them."""

    containers: CosmosContainers

    async def delete_header(self, user: UserId, header: Header, due_at: datetime) -> CommitOutcome:
        """Replace the header by a tombstone in one batch, unless it was written meanwhile."""
        tombstone = {
            "id": tombstone_id(header.gen),
            "user_id": user.value,
            "kind": "tombstone",
            "gen": header.gen.value,
            "session_id": header.session_id.value,
            "due_at": write_time(due_at),
        }
        batch: Batch = [
            ("delete", (header_id(header.session_id),), {"if_match_etag": header.etag}),
            ("create", (tombstone,), {}),
        ]
        try:
            await self.containers.write_batch(MEMORY, user, batch)
        except (ItemChanged, ItemMissing, ItemExists, Contended):
            return HeaderMoved()
        except StoreUnavailable:
            return OutcomeUnknown()
        return Committed()

    async def sweep(self, user: UserId, gen: Gen) -> None:
        """Delete a hundred documents of the gen at a time until a query finds none."""
        while ids := await self._list_ids(user, gen):
            try:
                await self.containers.write_batch(
                    MEMORY, user, [("delete", (item_id,), {}) for item_id in ids]
                )
            except (ItemMissing, ItemChanged, Contended):
                continue  # somebody else sweeps, or one expired: the next query tells what is left

    async def list_tombstones(self, user: UserId, session: SessionId) -> Sequence[Tombstone]:
        """The tombstones of one session."""
        parameters = sql.named({"@user_id": user.value, "@session_id": session.value})
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.squeeze(sql.LIST_TOMBSTONES), parameters=parameters, partition_key=user.value
            )
            return [Tombstone(user, session, Gen(item["gen"])) async for item in found]

    async def find_due(self, now: datetime) -> Sequence[Tombstone]:
        """Graves of all users that are due: the first page of them."""
        text = sql.squeeze(sql.FIND_DUE_TOMBSTONES_ACROSS_USERS)
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                text, parameters=sql.named({"@now": write_time(now)}), max_item_count=DUE_AT_A_TIME
            )
            page = await anext(found.by_page(), None)
            return [_tombstone_of(item) async for item in page] if page else []

    async def close(self, tombstone: Tombstone) -> None:
        """Delete the tombstone."""
        try:
            async with self.containers.call(MEMORY) as container:
                await container.delete_item(tombstone_id(tombstone.gen), tombstone.user.value)
        except ItemMissing:
            return

    async def _list_ids(self, user: UserId, gen: Gen) -> list[str]:
        parameters = sql.named({"@user_id": user.value, "@gen": gen.value})
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.squeeze(sql.LIST_OF_GEN),
                parameters=parameters,
                partition_key=user.value,
                max_item_count=100,
            )
            return [item["id"] async for item in found]


def _tombstone_of(item: Mapping[str, str]) -> Tombstone:
    return Tombstone(UserId(item["user_id"]), SessionId(item["session_id"]), Gen(item["gen"]))
