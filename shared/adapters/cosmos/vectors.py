"""Vectors of turns in the `memory` container that were stored without one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, Batch, CosmosContainers
from shared.adapters.cosmos.errors import ItemChanged, ItemMissing
from shared.adapters.cosmos.items import set_fields, size_of, turn_item_id, vector_fields
from shared.adapters.cosmos.spending import CosmosSpending
from shared.adapters.cosmos.times import read_time, ttl_until
from shared.domain.errors import Contended
from shared.domain.ids import TurnId, UserId
from shared.domain.recall.search_text import REPLY_PREFIX
from shared.domain.sessions import Header
from shared.domain.vectors import Vector
from shared.ports.search import TurnWithoutVector
from shared.ports.system import Clock

BATCH_SIZE = 32  # turns per model call and per batch


@dataclass(frozen=True, slots=True)
class CosmosVectors:
    """Finds turns with one query and updates them in one batch."""

    containers: CosmosContainers
    spending: CosmosSpending
    clock: Clock

    async def find_unembedded(
        self, user: UserId, header: Header, model: str, after_seq: int
    ) -> Sequence[TurnWithoutVector]:
        """Turns past `after_seq` that are searchable but have no vector of this model."""
        parameters = sql.to_parameters(
            {
                "@limit": BATCH_SIZE,
                "@user_id": user.value,
                "@session_id": header.session_id.value,
                "@gen": header.gen.value,
                "@model": model,
                "@after": after_seq,
            }
        )
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.on_one_line(sql.LIST_UNEMBEDDED),
                parameters=parameters,
                partition_key=user.value,
            )
            return [_unembedded(item) async for item in found]

    async def add_vectors(
        self, user: UserId, header: Header, vectors: Mapping[TurnWithoutVector, Vector]
    ) -> bool:
        """Add all vectors in one batch; False if a turn is gone or its expiry has changed.

        A write restarts the time to live, so each patch also sets the rest of it. Idempotent:
        the same vectors are set again.
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
            await self.spending.write_batch(user, batch)
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
    more = size_of(fields) - 1  # merging two objects drops two braces and adds a comma
    return [*patch, {"op": "set", "path": "/usage/bytes", "value": turn.bytes_without + more}]
