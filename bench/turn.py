"""What a warm turn costs, beside its floor: `python -m bench.turn`.

Whole turns go through the application (ASGI, no socket) with an instant scripted model in a process of its own; its
milliseconds are shown apart. The floor is what no turn can go below: the same two scripts, two point reads and one
batch on the same servers, through the same SDKs, and nothing else. Both are measured in one run, in turns, so ratios
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
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx

from local.children import child, first_line
from local.cosmos import LocalCosmos
from shared.adapters.cosmos_client import Batch, CosmosContainers
from shared.adapters.cosmos_items import empty_header, turn_item, write_time
from shared.adapters.cosmos_preferences import CosmosPreferences
from shared.adapters.cosmos_sessions import CosmosSessions
from shared.adapters.cosmos_transcript import CosmosTranscript
from shared.adapters.cosmos_users import CosmosUsers
from shared.adapters.redis_sessions import RedisSessions
from shared.adapters.system_clock import SystemClock
from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.ports import Committed, LeaseRequest
from tests.support.app import ModelAt, running
from tests.support.build import a_turn
from tests.support.redis_server import RedisServer

CONTAINERS = json.loads((Path(__file__).parent.parent / "infra" / "containers.json").read_text())
ADA = UserId("ada")
LENGTHS = (10, 100, 1000)
CLIENTS = (1, 16)


@dataclass(frozen=True, slots=True)
class Sample:
    """Milliseconds of each operation, of the model in the middle one, and CPU milliseconds of one on average."""

    times: Sequence[float]
    model: float
    cpu: float

    def quantile(self, share: float) -> float:
        """The time that so many stay below."""
        return sorted(self.times)[min(len(self.times) - 1, int(share * len(self.times)))]


@dataclass(frozen=True, slots=True)
class Bench:
    """The application and the bare stores it stands on."""

    client: httpx.AsyncClient
    containers: CosmosContainers
    cache: RedisSessions

    async def seed(self, session: SessionId, length: int) -> None:
        """A session of so many turns, as if they had been said; the next turn makes it warm."""
        now, gen = SystemClock().now(), Gen(uuid4().hex)
        expires_at = now + timedelta(days=1)
        header = empty_header(ADA, session, gen, 0, None, now)
        header |= {"turn_count": length, "expires_at": write_time(expires_at), "ttl": 86_400}
        turns = [
            a_turn(n, f"Message {n}", session_id=session, gen=gen, created_at=now, expires_at=expires_at)
            for n in range(1, length + 1)
        ]
        operations: Batch = [("upsert", (header,), {}), *(("create", (turn_item(ADA, turn),), {}) for turn in turns)]
        for start in range(0, len(operations), 100):
            await self.containers.write_batch("memory", ADA, operations[start : start + 100])

    async def turn(self, session: SessionId) -> tuple[float, float]:
        """One whole turn: its milliseconds, and the model's among them."""
        start = time.perf_counter()
        answer = await self.client.post("/chat", json={"message": "Hello", "session_id": session.value})
        return (time.perf_counter() - start) * 1000, float(answer.json()["timings_ms"]["model"])

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
        number, now = header.turn_count + 1, clock.now()
        expires_at = now + timedelta(days=1)
        turn = a_turn(
            number, session_id=session, gen=header.gen, turn_id=turn_id, created_at=now, expires_at=expires_at
        )
        assert isinstance(await transcript.commit_turn(ADA, turn, expires_at, now), Committed)
        await self.cache.close_turn(ADA, turn, owner, None)
        return (time.perf_counter() - start) * 1000, 0.0


async def measure(
    operation: Callable[[SessionId], Awaitable[tuple[float, float]]], sessions: Sequence[SessionId], each: int
) -> Sample:
    """Every session does so many, one after the other, beside the other sessions."""

    async def work(session: SessionId) -> list[tuple[float, float]]:
        return [await operation(session) for _ in range(each)]

    start = time.process_time()
    pairs = [pair for some in await asyncio.gather(*map(work, sessions)) for pair in some]
    cpu = (time.process_time() - start) * 1000 / len(pairs)
    return Sample([whole for whole, _ in pairs], statistics.median(model for _, model in pairs), cpu)


async def run(bench: Bench, each: int, rounds: int) -> None:
    """Measure and print everything."""
    print("clients length |    p50    p95    p99   model    CPU | floor p50    CPU | p50/floor  without model")
    cpu: dict[tuple[int, int], float] = {}
    for clients in CLIENTS:
        for length in LENGTHS:
            sessions = [SessionId(f"{clients}-{length}-{n}") for n in range(clients)]
            for session in sessions:
                await bench.seed(session, length)
                await bench.turn(session)
            pairs = []
            for _ in range(rounds):
                per_session = max(2, each // clients)
                floor = await measure(bench.floor, sessions, per_session)
                pairs.append((await measure(bench.turn, sessions, per_session), floor))
            cpu[clients, length] = statistics.median(whole.cpu for whole, _ in pairs)
            _print_row(clients, length, pairs)
    for clients in CLIENTS:
        ratio = cpu[clients, LENGTHS[-1]] / cpu[clients, LENGTHS[0]]
        print(f"CPU of a turn at {LENGTHS[-1]} turns / at {LENGTHS[0]}, {clients} clients: {ratio:.2f} (target 1.10)")


def _print_row(clients: int, length: int, pairs: Sequence[tuple[Sample, Sample]]) -> None:
    turns, floors = zip(*pairs, strict=True)
    shown = [statistics.median(turn.quantile(share) for turn in turns) for share in (0.5, 0.95, 0.99)]
    shown += [statistics.median(turn.model for turn in turns), statistics.median(turn.cpu for turn in turns)]
    floor = [statistics.median(bare.quantile(0.5) for bare in floors), statistics.median(bare.cpu for bare in floors)]
    whole = statistics.median(turn.quantile(0.5) / bare.quantile(0.5) for turn, bare in pairs)
    own = statistics.median((turn.quantile(0.5) - turn.model) / bare.quantile(0.5) for turn, bare in pairs)
    columns = " ".join(f"{value:6.1f}" for value in shown)
    print(f"{clients:7} {length:6} | {columns} | {floor[0]:9.1f} {floor[1]:6.1f} | {whole:9.2f} {own:14.2f}")


async def main() -> None:
    """Start the servers, measure, stop them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=100, help="turns a round, over all clients")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; medians are over these")
    arguments = parser.parse_args()
    cosmos = LocalCosmos.open(None, CONTAINERS)
    command = (sys.executable, "-m", "local.model")
    with tempfile.TemporaryDirectory() as folder, RedisServer() as redis:
        log = Path(folder) / "model.log"
        async with child(*command, log=log) as process:
            url = await first_line(process, log)
            async with running(cosmos, ModelAt(url), redis_socket=str(redis.socket)) as app, app.client() as client:
                services = await app.composition.services()
                containers = next(one for one in services.clients if isinstance(one, CosmosContainers))
                cache = next(one for one in services.clients if isinstance(one, RedisSessions))
                await run(Bench(client, containers, cache), arguments.each, arguments.rounds)
    cosmos.close()


if __name__ == "__main__":
    asyncio.run(main())
