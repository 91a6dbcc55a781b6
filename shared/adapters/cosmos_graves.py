"""Deleted sessions in the `memory` container: buried with their header, swept by their gen."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.adapters import cosmos_queries as sql
from shared.adapters.cosmos_client import Batch, CosmosContainers
from shared.adapters.cosmos_errors import ItemChanged, ItemExists, ItemMissing
from shared.adapters.cosmos_items import grave_id, header_id, write_time
from shared.adapters.cosmos_users import MEMORY
from shared.domain.errors import Contended, StoreUnavailable
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.turns import Header
from shared.ports.commits import CommitOutcome, Committed, HeaderMoved, OutcomeUnknown
from shared.ports.graves import Grave

DUE_AT_A_TIME = 1000  # one page: the timer comes again


class CosmosGraves:
    """Graves, and the sweep of what lies in them."""

    def __init__(self, containers: CosmosContainers) -> None:
        """Take the worker's containers."""
        self._containers = containers

    async def bury(self, user: UserId, header: Header, due_at: datetime) -> CommitOutcome:
        """Delete the header and leave a grave in one batch, unless the header was written meanwhile."""
        grave = {
            "id": grave_id(header.gen),
            "user_id": user.value,
            "kind": "grave",
            "gen": header.gen.value,
            "session_id": header.session_id.value,
            "due_at": write_time(due_at),
        }
        batch: Batch = [
            ("delete", (header_id(header.session_id),), {"if_match_etag": header.etag}),
            ("create", (grave,), {}),
        ]
        try:
            await self._containers.write_batch(MEMORY, user, batch)
        except (ItemChanged, ItemMissing, ItemExists, Contended):
            return HeaderMoved()
        except StoreUnavailable:
            return OutcomeUnknown()
        return Committed()

    async def sweep(self, user: UserId, gen: Gen) -> None:
        """Delete a hundred documents of the gen at a time until a query finds none."""
        while ids := await self._list_ids(user, gen):
            try:
                await self._containers.write_batch(
                    MEMORY, user, [("delete", (item_id,), {}) for item_id in ids]
                )
            except (ItemMissing, ItemChanged, Contended):
                continue  # somebody else sweeps, or one expired: the next query tells what is left

    async def list_graves(self, user: UserId, session: SessionId) -> Sequence[Grave]:
        """The graves of one session."""
        parameters = sql.named({"@user_id": user.value, "@session_id": session.value})
        async with self._containers.call(MEMORY) as container:
            found = container.query_items(
                sql.squeeze(sql.LIST_GRAVES), parameters=parameters, partition_key=user.value
            )
            return [Grave(user, session, Gen(item["gen"])) async for item in found]

    async def find_due(self, now: datetime) -> Sequence[Grave]:
        """Graves of all users that are due: the first page of them."""
        text = sql.squeeze(sql.FIND_DUE_GRAVES_ACROSS_USERS)
        async with self._containers.call(MEMORY) as container:
            found = container.query_items(
                text, parameters=sql.named({"@now": write_time(now)}), max_item_count=DUE_AT_A_TIME
            )
            page = await anext(found.by_page(), None)
            return [_grave_of(item) async for item in page] if page else []

    async def close(self, grave: Grave) -> None:
        """Delete the grave."""
        try:
            async with self._containers.call(MEMORY) as container:
                await container.delete_item(grave_id(grave.gen), grave.user.value)
        except ItemMissing:
            return

    async def _list_ids(self, user: UserId, gen: Gen) -> list[str]:
        parameters = sql.named({"@user_id": user.value, "@gen": gen.value})
        async with self._containers.call(MEMORY) as container:
            found = container.query_items(
                sql.squeeze(sql.LIST_OF_GEN),
                parameters=parameters,
                partition_key=user.value,
                max_item_count=100,
            )
            return [item["id"] async for item in found]


def _grave_of(item: Mapping[str, str]) -> Grave:
    return Grave(UserId(item["user_id"]), SessionId(item["session_id"]), Gen(item["gen"]))
