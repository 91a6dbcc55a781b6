"""Tombstones of deleted sessions in the `memory` container."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, Batch, CosmosContainers
from shared.adapters.cosmos.errors import ItemChanged, ItemExists, ItemMissing
from shared.adapters.cosmos.items import header_id, tombstone_id
from shared.adapters.cosmos.times import write_time
from shared.domain.errors import Contended, StoreUnavailable
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.sessions import Header
from shared.ports.sessions import Tombstone
from shared.ports.turns import CommitOutcome, Committed, HeaderMoved, OutcomeUnknown

PAGE_SIZE = 1000  # one page per run: the next run of the timer reads the rest


@dataclass(frozen=True, slots=True)
class CosmosTombstones:
    """Deletes sessions: the header at once, the remaining documents by a sweep."""

    containers: CosmosContainers

    async def delete_header(self, user: UserId, header: Header, due_at: datetime) -> CommitOutcome:
        """Replace the header by a tombstone in one batch, unless its ETag has changed.

        Idempotent: the second batch finds no header.
        """
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
        """Delete documents of the generation, 100 at a time, until none is left. Idempotent."""
        while ids := await self._list_ids(user, gen):
            try:
                await self.containers.write_batch(
                    MEMORY, user, [("delete", (item_id,), {}) for item_id in ids]
                )
            except (ItemMissing, ItemChanged, Contended):
                continue  # one expired, or another sweep runs: the next query finds what is left

    async def list_tombstones(self, user: UserId, session: SessionId) -> Sequence[Tombstone]:
        """The tombstones of one session."""
        parameters = sql.to_parameters({"@user_id": user.value, "@session_id": session.value})
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.on_one_line(sql.LIST_TOMBSTONES),
                parameters=parameters,
                partition_key=user.value,
            )
            return [Tombstone(user, session, Gen(item["gen"])) async for item in found]

    async def find_due(self, now: datetime) -> Sequence[Tombstone]:
        """Due tombstones of all users, one page of at most 1,000."""
        text = sql.on_one_line(sql.FIND_DUE_TOMBSTONES_ACROSS_USERS)
        parameters = sql.to_parameters({"@now": write_time(now)})
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(text, parameters=parameters, max_item_count=PAGE_SIZE)
            page = await anext(found.by_page(), None)
            return [_tombstone_of(item) async for item in page] if page else []

    async def close(self, tombstone: Tombstone) -> None:
        """Delete the tombstone. Idempotent: it is gone."""
        try:
            async with self.containers.call(MEMORY) as container:
                await container.delete_item(tombstone_id(tombstone.gen), tombstone.user.value)
        except ItemMissing:
            return

    async def _list_ids(self, user: UserId, gen: Gen) -> list[str]:
        parameters = sql.to_parameters({"@user_id": user.value, "@gen": gen.value})
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.on_one_line(sql.LIST_OF_GEN),
                parameters=parameters,
                partition_key=user.value,
                max_item_count=100,
            )
            return [item["id"] async for item in found]


def _tombstone_of(item: Mapping[str, str]) -> Tombstone:
    return Tombstone(UserId(item["user_id"]), SessionId(item["session_id"]), Gen(item["gen"]))
