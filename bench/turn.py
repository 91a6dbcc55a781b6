"""What a warm turn costs, beside its floor: `python -m bench.turn`.

Whole turns go through the application (ASGI, no socket) with an instant scripted model in a process of its own; its
milliseconds are shown apart. The floor is what no turn can go below: the same two scripts, two point reads and one
batch on the same servers, through the same SDKs, and nothing else; with `--recall` also the vector, the two searches
and what stands around what they find. Both are measured by turns in many short rounds, all lengths in each, so ratios
hold on a busy machine; milliseconds do not.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from pathlib import Path
from uuid import uuid4

from fastapi import FastAPI
from starlette.types import Message

from bench.instant_model import VECTOR
from cosmos_local import LocalCosmos
from local.children import child, first_line
from shared.adapters.cosmos_client import Batch, CosmosContainers
from shared.adapters.cosmos_items import empty_header, turn_item, write_time
from shared.adapters.cosmos_preferences import CosmosPreferences
from shared.adapters.cosmos_sessions import CosmosSessions
from shared.adapters.cosmos_transcript import CosmosTranscript
from shared.adapters.cosmos_turn_index import CosmosTurnIndex
from shared.adapters.cosmos_users import CosmosUsers
from shared.adapters.openai_embeddings import OpenAIEmbeddings
from shared.adapters.redis_sessions import RedisSessions
from shared.adapters.system_clock import SystemClock
from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.passages import MAX_SURROUNDED
from shared.domain.ranking import FoundTurn
from shared.domain.turns import MAX_WINDOW_TURNS
from shared.domain.vectors import make_vector
from shared.domain.words import content_words
from shared.ports.cache import LeaseRequest
from shared.ports.commits import Committed, Draft
from tests.support.app import ModelAt, running
from tests.support.build import a_turn
from tests.support.redis_server import RedisServer

CONTAINERS = Path(__file__).parent.parent / "infra" / "containers.json"
ADA = UserId("ada")
LENGTHS = (10, 100, 1000)
CLIENTS = (1, 16)
RECALL_LENGTHS, RECALL_CLIENTS = (
    (10, 100),
    (1,),
)  # a search over more measures the local Cosmos DB's brute force
PIECES = 2  # of a round
SAYS_NOTHING, ASKS = "Hello", "Which message was the third?"
Operation = Callable[[SessionId], Awaitable[tuple[float, float]]]


@dataclass(slots=True)
class Sample:
    """Milliseconds of each operation, of the model in them, and CPU seconds of all."""

    times: list[float] = field(default_factory=list)
    models: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    @property
    def cpu(self) -> float:
        """CPU milliseconds of one operation on average."""
        return self.cpu_seconds * 1000 / len(self.times)

    @property
    def model(self) -> float:
        """The model's milliseconds in the middle operation."""
        return statistics.median(self.models)

    def quantile(self, share: float) -> float:
        """The time that so many stay below."""
        return sorted(self.times)[min(len(self.times) - 1, int(share * len(self.times)))]

    async def add(self, operation: Operation, sessions: Sequence[SessionId], each: int) -> None:
        """Every session does so many, one after the other, beside the other sessions."""

        async def work(session: SessionId) -> list[tuple[float, float]]:
            return [await operation(session) for _ in range(each)]

        start = time.process_time()
        for whole, model in chain.from_iterable(await asyncio.gather(*map(work, sessions))):
            self.times.append(whole)
            self.models.append(model)
        self.cpu_seconds += time.process_time() - start


Round = tuple[Sample, Sample]  # of whole turns, and of the floor


@dataclass(frozen=True, slots=True)
class Bench:
    """The application and the bare stores it stands on."""

    api: FastAPI
    containers: CosmosContainers
    cache: RedisSessions
    embeddings: OpenAIEmbeddings | None

    async def seed(self, session: SessionId, length: int) -> None:
        """A session of so many turns, as if they had been said; the next turn makes it warm."""
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
        for start in range(0, len(operations), 100):
            await self.containers.write_batch("memory", ADA, operations[start : start + 100])

    async def turn(self, session: SessionId) -> tuple[float, float]:
        """One whole turn: its milliseconds, and the model's among them."""
        start = time.perf_counter()
        message = ASKS if self.embeddings else SAYS_NOTHING
        answer = await _post(self.api, {"message": message, "session_id": session.value})
        return (time.perf_counter() - start) * 1000, float(
            json.loads(answer)["timings_ms"]["model"]
        )

    async def floor(self, session: SessionId) -> tuple[float, float]:
        """The bare calls of one warm turn: their milliseconds, and none of a model."""
        clock = SystemClock()
        sessions = CosmosSessions(self.containers, CosmosUsers(self.containers), clock)
        transcript = CosmosTranscript(self.containers)
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
        number, now = header.turn_count + 1, clock.now()
        expires_at = now + timedelta(days=1)
        turn = a_turn(
            number,
            session_id=session,
            gen=header.gen,
            turn_id=turn_id,
            created_at=now,
            expires_at=expires_at,
        )
        assert isinstance(
            await transcript.commit_turn(ADA, Draft(turn, None, now), expires_at), Committed
        )
        await self.cache.close_turn(ADA, turn, owner, None)
        return (time.perf_counter() - start) * 1000, 0.0

    async def _search(self, embeddings: OpenAIEmbeddings) -> None:
        """The bare calls of a recall."""
        index = CosmosTurnIndex(self.containers)

        async def by_meaning() -> Sequence[FoundTurn]:
            return await index.find_by_meaning(ADA, (await embeddings.embed((ASKS, ASKS)))[0])

        found, _ = await asyncio.gather(index.find_by_words(ADA, content_words(ASKS)), by_meaning())
        await index.read_around(ADA, [turn.place for turn in found[:MAX_SURROUNDED]])


async def _post(api: FastAPI, body: dict[str, str]) -> bytes:
    """One request to /chat by bare ASGI: a caller's HTTP client is no part of a turn."""
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


async def measure(bench: Bench, clients: int, length: int, number: int, each: int) -> Round:
    """One round: a few whole turns, a few bare ones, and again, so that a busy moment meets both."""
    name = f"{clients}-{length}-{number if length < MAX_WINDOW_TURNS else 0}"  # a short session would soon be long
    sessions, bare = (
        [SessionId(f"{kind}-{name}-{n}") for n in range(clients)] for kind in ("turn", "floor")
    )
    if number == 0 or length < MAX_WINDOW_TURNS:
        for session in chain(sessions, bare):
            await bench.seed(session, length)
            await bench.turn(session)
    turns, floors = Sample(), Sample()
    for _ in range(PIECES):
        await floors.add(bench.floor, bare, max(1, each // PIECES // clients))
        await turns.add(bench.turn, sessions, max(1, each // PIECES // clients))
    return turns, floors


async def run(bench: Bench, each: int, rounds: int) -> None:
    """Measure and print everything: every figure is the median over rounds, every ratio that of one round's."""
    lengths, clients_at_once = (
        (RECALL_LENGTHS, RECALL_CLIENTS) if bench.embeddings else (LENGTHS, CLIENTS)
    )
    print(
        "clients length |    p50    p95    p99   model    CPU | floor p50    CPU | p50/floor  without model"
    )
    for clients in clients_at_once:
        measured: dict[int, list[Round]] = {length: [] for length in lengths}
        for number in range(rounds):
            for length in lengths[number % len(lengths) :] + lengths[: number % len(lengths)]:
                measured[length].append(await measure(bench, clients, length, number, each))
        for length in lengths:
            _print_row(clients, length, measured[length])
        pairs = zip(measured[lengths[-1]], measured[lengths[0]], strict=True)
        ratio = statistics.median(long.cpu / short.cpu for (long, _), (short, _) in pairs)
        print(
            f"CPU of a turn at {lengths[-1]} turns / at {lengths[0]}, {clients} clients: {ratio:.2f} (target 1.10)"
        )


def _print_row(clients: int, length: int, pairs: Sequence[Round]) -> None:
    turns, floors = zip(*pairs, strict=True)
    shown = [
        statistics.median(turn.quantile(share) for turn in turns) for share in (0.5, 0.95, 0.99)
    ]
    shown += [
        statistics.median(turn.model for turn in turns),
        statistics.median(turn.cpu for turn in turns),
    ]
    floor = [
        statistics.median(bare.quantile(0.5) for bare in floors),
        statistics.median(bare.cpu for bare in floors),
    ]
    whole = statistics.median(turn.quantile(0.5) / bare.quantile(0.5) for turn, bare in pairs)
    own = statistics.median(
        (turn.quantile(0.5) - turn.model) / bare.quantile(0.5) for turn, bare in pairs
    )
    columns = " ".join(f"{value:6.1f}" for value in shown)
    print(
        f"{clients:7} {length:6} | {columns} | {floor[0]:9.1f} {floor[1]:6.1f} | {whole:9.2f} {own:14.2f}"
    )


async def main() -> None:
    """Start the servers, measure, stop them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=16, help="turns a round, over all clients")
    parser.add_argument("--rounds", type=int, default=30, help="rounds; medians are over these")
    parser.add_argument(
        "--recall", action="store_true", help="turns that recall, in one user's sessions"
    )
    arguments = parser.parse_args()
    embedding_model = "instant" if arguments.recall else ""
    cosmos = LocalCosmos.open(None, CONTAINERS)
    command = (sys.executable, "-m", "bench.instant_model")
    with tempfile.TemporaryDirectory() as folder, RedisServer() as redis:
        log = Path(folder) / "model.log"
        async with child(*command, log=log) as process:
            url = await first_line(process, log)
            async with running(
                cosmos,
                ModelAt(url),
                redis_socket=str(redis.socket),
                embedding_model=embedding_model,
            ) as app:
                services = await app.composition.services()
                cache = services.clients.redis
                assert cache
                await run(
                    Bench(app.api, services.clients.containers, cache, services.clients.embeddings),
                    arguments.each,
                    arguments.rounds,
                )
    cosmos.close()


if __name__ == "__main__":
    asyncio.run(main())
