"""Turns in the `memory` container, found by words and by meaning within the user's partition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, CosmosContainers
from shared.adapters.cosmos.items import read_time
from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.recall.excerpts import MAX_SURROUNDED, NEIGHBOURS
from shared.domain.recall.ranking import FoundTurn, Place
from shared.domain.vectors import Vector

MAX_INCLUDED_CHARS = 2000  # of a found turn: a quarter of what a turn is given of memory


@dataclass(frozen=True, slots=True)
class CosmosTurnIndex:
    """Searches with one query each; the fusion is ours, since the service's own gives no scores."""

    containers: CosmosContainers

    async def find_by_words(self, user: UserId, words: Sequence[str]) -> Sequence[FoundTurn]:
        """Turns of this user with any of the words, by BM25."""
        named = {f"@word{number}": word for number, word in enumerate(words)}
        return await self._find(user, sql.FIND_BY_WORDS[len(words)], _of_a_search(user) | named)

    async def find_by_meaning(self, user: UserId, vector: Vector) -> Sequence[FoundTurn]:
        """Turns by cosine similarity; those without a vector of this model are not among them (F47)."""
        given = {"@vector": list(vector.numbers), "@model": vector.model}
        return await self._find(user, sql.FIND_BY_MEANING, _of_a_search(user) | given)

    async def read_around(self, user: UserId, places: Sequence[Place]) -> Sequence[FoundTurn]:
        """Neighbours, found by their place; the last place stands for those that are not given."""
        given: dict[str, Any] = {"@user_id": user.value, "@chars": MAX_INCLUDED_CHARS}
        for number in range(MAX_SURROUNDED):
            gen, seq = places[min(number, len(places) - 1)]
            given |= {
                f"@gen{number}": gen.value,
                f"@from{number}": seq - NEIGHBOURS,
                f"@upto{number}": seq + NEIGHBOURS,
            }
        return await self._find(user, sql.READ_AROUND, given)

    async def _find(
        self, user: UserId, text: str, parameters: Mapping[str, Any]
    ) -> Sequence[FoundTurn]:
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.squeeze(text), parameters=sql.named(parameters), partition_key=user.value
            )
            return [_found(item) async for item in found]


def _of_a_search(user: UserId) -> dict[str, Any]:
    return {"@user_id": user.value, "@chars": MAX_INCLUDED_CHARS}


def _found(item: Mapping[str, Any]) -> FoundTurn:
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
