"""Keyword and vector search over a user's turns in the `memory` container."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, CosmosContainers
from shared.adapters.cosmos.times import read_time
from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.recall.excerpts import MAX_EXPANDED_HITS, NEIGHBOURS
from shared.domain.recall.ranking import FoundTurn, Place
from shared.domain.vectors import Vector

MAX_INCLUDED_CHARS = 2000  # per found turn, about 500 tokens: a quarter of the default budget


@dataclass(frozen=True, slots=True)
class CosmosTurnIndex:
    """Runs one query per search; ranks are merged in the domain, as RRF here returns no scores."""

    containers: CosmosContainers

    async def find_by_keywords(self, user: UserId, words: Sequence[str]) -> Sequence[FoundTurn]:
        """The user's turns with at least one of the keywords, by BM25 score."""
        keywords = {f"@word{number}": word for number, word in enumerate(words)}
        return await self._find(user, sql.FIND_BY_KEYWORDS[len(words)], _common(user) | keywords)

    async def find_by_meaning(self, user: UserId, vector: Vector) -> Sequence[FoundTurn]:
        """The user's turns that have a vector of this model (F47), by cosine similarity."""
        parameters = {"@vector": list(vector.numbers), "@model": vector.model}
        return await self._find(user, sql.FIND_BY_MEANING, _common(user) | parameters)

    async def read_around(self, user: UserId, places: Sequence[Place]) -> Sequence[FoundTurn]:
        """The turns at and around these places; the query's unused slots repeat the last place."""
        parameters = _common(user)
        for number in range(MAX_EXPANDED_HITS):
            gen, seq = places[min(number, len(places) - 1)]
            parameters |= {
                f"@gen{number}": gen.value,
                f"@from{number}": seq - NEIGHBOURS,
                f"@upto{number}": seq + NEIGHBOURS,
            }
        return await self._find(user, sql.READ_AROUND, parameters)

    async def _find(
        self, user: UserId, text: str, parameters: Mapping[str, Any]
    ) -> Sequence[FoundTurn]:
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.on_one_line(text),
                parameters=sql.to_parameters(parameters),
                partition_key=user.value,
            )
            return [_turn_of(item) async for item in found]


def _common(user: UserId) -> dict[str, Any]:
    return {"@user_id": user.value, "@chars": MAX_INCLUDED_CHARS}


def _turn_of(item: Mapping[str, Any]) -> FoundTurn:
    return FoundTurn(
        session_id=SessionId(item["session_id"]),
        gen=Gen(item["gen"]),
        epoch=item["epoch"],
        turn_id=TurnId(item["turn_id"]),
        seq=item["seq"],
        text=item["text"],
        created_at=read_time(item["created_at"]),
        expires_at=read_time(item["expires_at"]),
        embedding_model=item.get("embedding_model"),
        similarity=item.get("similarity"),
    )
