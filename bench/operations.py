"""The operations that bench.turn compares: a whole turn, and the floor that it cannot go below."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from fastapi import FastAPI
from starlette.types import Message

from bench.instant_model import VECTOR
from shared.adapters.cosmos.containers import Batch, CosmosContainers
from shared.adapters.cosmos.items import empty_header, turn_item
from shared.adapters.cosmos.preferences import CosmosPreferences
from shared.adapters.cosmos.sessions import CosmosSessions
from shared.adapters.cosmos.spending import CosmosSpending
from shared.adapters.cosmos.times import write_time
from shared.adapters.cosmos.turn_index import CosmosTurnIndex
from shared.adapters.cosmos.turns import CosmosTurns
from shared.adapters.cosmos.users import CosmosUsers
from shared.adapters.openai.embeddings import OpenAIEmbeddings
from shared.adapters.redis.session_cache import RedisSessionCache
from shared.adapters.system_clock import SystemClock
from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.recall.excerpts import MAX_EXPANDED_HITS
from shared.domain.recall.keywords import extract_keywords
from shared.domain.recall.ranking import FoundTurn
from shared.domain.vectors import make_vector
from shared.ports.cache import LeaseRequest
from shared.ports.turns import Committed, Draft
from tests.support.build import a_turn

ADA = UserId("ada")
MAX_BATCH = 100  # operations of a Cosmos DB batch
WITHOUT_KEYWORDS, QUESTION = "Hello", "Which message was the third?"


@dataclass(frozen=True, slots=True)
class Operations:
    """The application, and the bare adapters that it uses; with `embeddings`, turns use recall."""

    api: FastAPI
    containers: CosmosContainers
    cache: RedisSessionCache
    embeddings: OpenAIEmbeddings | None

    async def seed(self, session: SessionId, length: int) -> None:
        """Write a session with this many turns to Cosmos DB; the next turn makes it warm."""
        now, gen = SystemClock().now(), Gen(uuid4().hex)
        expires_at = now + timedelta(days=1)
        header = empty_header(ADA, session, gen, 0, None, now)
        header |= {"turn_count": length, "expires_at": write_time(expires_at), "ttl": 86_400}
        turns = [
            a_turn(
                n,
                f"Message {n}",
                session_id=session,
                gen=gen,
                created_at=now,
                expires_at=expires_at,
            )
            for n in range(1, length + 1)
        ]
        vector = make_vector("instant", VECTOR) if self.embeddings else None
        items = [turn_item(ADA, turn, vector) for turn in turns]
        operations: Batch = [
            ("upsert", (header,), {}),
            *(("create", (item,), {}) for item in items),
        ]
        for start in range(0, len(operations), MAX_BATCH):
            batch = operations[start : start + MAX_BATCH]
            await self.containers.write_batch("memory", ADA, batch)

    async def turn(self, session: SessionId) -> tuple[float, float]:
        """Take a whole turn; return its milliseconds, and the model's share of them."""
        start = time.perf_counter()
        message = QUESTION if self.embeddings else WITHOUT_KEYWORDS
        answer = await _post(self.api, {"message": message, "session_id": session.value})
        took = (time.perf_counter() - start) * 1000
        return took, float(json.loads(answer)["timings_ms"]["model"])

    async def floor(self, session: SessionId) -> tuple[float, float]:
        """Make only the store calls of a warm turn; return their milliseconds, and 0."""
        clock = SystemClock()
        users = CosmosUsers(self.containers)
        sessions = CosmosSessions(self.containers, users, clock)
        transcript = CosmosTurns(self.containers, CosmosSpending(self.containers, users, clock))
        turn_id, owner = TurnId(uuid4().hex), uuid4().hex
        start = time.perf_counter()
        _, header, _ = await asyncio.gather(
            self.cache.open_turn(ADA, session, LeaseRequest(turn_id, owner, "hash", 60)),
            sessions.read_header(ADA, session),
            CosmosPreferences(self.containers, clock).read(ADA),
        )
        assert header
        if self.embeddings:
            await self._search(self.embeddings)
        now = clock.now()
        expires_at = now + timedelta(days=1)
        turn = a_turn(
            header.turn_count + 1,
            session_id=session,
            gen=header.gen,
            turn_id=turn_id,
            created_at=now,
            expires_at=expires_at,
        )
        draft = Draft(turn=turn, vector=None, due_at=now, expires_at=expires_at, last_active_at=now)
        committed = await transcript.commit_turn(ADA, draft)
        assert isinstance(committed, Committed)
        await self.cache.close_turn(ADA, turn, owner, None)
        return (time.perf_counter() - start) * 1000, 0.0

    async def _search(self, embeddings: OpenAIEmbeddings) -> None:
        """Make only the calls of a recall."""
        index = CosmosTurnIndex(self.containers)

        async def by_meaning() -> Sequence[FoundTurn]:
            vectors = await embeddings.embed((QUESTION, QUESTION))
            return await index.find_by_meaning(ADA, vectors[0])

        found, _ = await asyncio.gather(
            index.find_by_keywords(ADA, extract_keywords(QUESTION)), by_meaning()
        )
        await index.read_around(ADA, [turn.place for turn in found[:MAX_EXPANDED_HITS]])


async def _post(api: FastAPI, body: dict[str, str]) -> bytes:
    """Send one request to /chat as plain ASGI, without the cost of an HTTP client."""
    raw, answer = json.dumps(body).encode(), bytearray()
    headers = [
        (b"host", b"127.0.0.1"),
        (b"content-type", b"application/json"),
        (b"x-user-id", ADA.value.encode()),
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/chat",
        "query_string": b"",
        "headers": headers,
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": raw}

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200  # noqa: PLR2004
        answer.extend(message.get("body", b""))

    await api(scope, receive, send)
    return bytes(answer)
