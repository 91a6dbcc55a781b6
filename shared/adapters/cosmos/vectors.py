"""Vectors for turns in the `memory` container that were stored without one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, Batch, CosmosContainers
from shared.adapters.cosmos.errors import ItemChanged, ItemMissing
from shared.adapters.cosmos.items import (
    read_time,
    set_fields,
    size_of,
    ttl_until,
    turn_item_id,
    vector_fields,
)
from shared.domain.errors import Contended
from shared.domain.ids import TurnId, UserId
from shared.domain.recall.search_text import REPLY_PREFIX
from shared.domain.sessions import Header
from shared.domain.vectors import Vector
from shared.ports.search import TurnWithoutVector
from shared.ports.system import Clock

AT_A_TIME = 32


@dataclass(frozen=True, slots=True)
class CosmosVectors:
    """Finds with one query, writes with one batch."""

    containers: CosmosContainers
    clock: Clock

    async def find_unembedded(
        self, user: UserId, header: Header, model: str, after_seq: int
    ) -> Sequence[TurnWithoutVector]:
        """Turns whose text is searched, with the part of it that is embedded."""
        parameters = sql.named(
            {
                "@limit": AT_A_TIME,
                "@user_id": user.value,
                "@session_id": header.session_id.value,
                "@gen": header.gen.value,
                "@model": model,
                "@after": after_seq,
            }
        )
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.squeeze(sql.LIST_UNEMBEDDED), parameters=parameters, partition_key=user.value
            )
            return [_unembedded(item) async for item in found]

    async def add_vectors(
        self, user: UserId, header: Header, vectors: Mapping[TurnWithoutVector, Vector]
    ) -> bool:
        """One patch each: it fails where there is no turn, or one whose life was shortened.

        It says anew how long the turn has yet to live.
        """
        now = self.clock.now()
        batch: Batch = [
            (
                "patch",
                (
                    turn_item_id(header.session_id, header.gen, turn.turn_id),
                    _patch(turn, vector, now),
                ),
                {"filter_predicate": sql.unchanged_expiry(turn.expires_at)},
            )
            for turn, vector in vectors.items()
        ]
        try:
            await self.containers.write_batch(MEMORY, user, batch)
        except (ItemMissing, ItemChanged, Contended):
            return False
        return True


def _unembedded(item: Mapping[str, Any]) -> TurnWithoutVector:
    return TurnWithoutVector(
        turn_id=TurnId(item["turn_id"]),
        text=item["text"].split(REPLY_PREFIX, 1)[0],
        expires_at=read_time(item["expires_at"]),
        bytes_without=None if item.get("embedding_model") else item.get("bytes"),
    )


def _patch(turn: TurnWithoutVector, vector: Vector, now: datetime) -> list[dict[str, object]]:
    fields = vector_fields(vector)
    patch = set_fields({**fields, "ttl": ttl_until(turn.expires_at, now)})
    if turn.bytes_without is None:
        return patch
    more = size_of(fields) - 1  # both without their braces, and a comma between them
    return [*patch, {"op": "set", "path": "/usage/bytes", "value": turn.bytes_without + more}]
