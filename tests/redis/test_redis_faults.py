"""Redis goes away, hangs, forgets, lies: answers come from Cosmos DB, flagged, and afterwards the window is right."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from shared.adapters import redis_sessions
from shared.domain.ids import SessionId, TurnId
from shared.domain.turns import body_hash
from shared.ports.cache import LeaseRequest
from shared.services import turn_protocol
from shared.services.commits import STORE_SECONDS
from shared.services.openings import Asked
from tests.conftest import Rows
from tests.support.app import WARM_CALLS, Keepsake, running
from tests.support.ask import ADA, a_question
from tests.support.cutting_proxy import CuttingProxy
from tests.support.failover import running_failover
from tests.support.faulty import Watched
from tests.support.model_server import ModelServer
from tests.support.redis_server import STOPPED, RedisServer

pytestmark = pytest.mark.anyio
HALF_A_CORE = 0.5  # seconds of CPU a second: with less of it, a machine is what was too slow


@pytest.fixture
def session_cache(redis: RedisServer) -> dict[str, Any]:
    """Here it is always there, to begin with."""
    return {"redis_socket": str(redis.socket)}


@pytest.fixture(autouse=True)
def _short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_sessions, "REST_SECONDS", 0.05)


async def test_without_redis_turns_are_answered_from_cosmos_f1(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """A conversation goes on while Redis is down, says so, and is warm again two turns after it is back."""
    await keepsake.chat("One")
    redis.stop()
    down = [(await keepsake.chat(text)).json() for text in ("Two", "Three")]
    redis.start()
    await asyncio.sleep(redis_sessions.REST_SECONDS)
    back = [(await keepsake.chat(text)).json() for text in ("Four", "Five")]
    assert [answer["degraded"] for answer in down + back] == [
        ["session_cache"],
        ["session_cache"],
        [],
        [],
    ]
    assert [answer["seq"] for answer in down + back] == [2, 3, 4, 5]
    assert [_earlier(answer) for answer in down + back] == [2, 4, 6, 8]
    assert back[1]["usage"]["cosmos_calls"] == WARM_CALLS


async def test_readiness_is_red_and_liveness_green_without_redis_f1(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """An operator sees which dependency is away; the platform does not restart a healthy app for it."""
    redis.stop()
    async with keepsake.client(None) as client:
        ready, alive = await client.get("/health/ready"), await client.get("/health")
    assert (ready.status_code, ready.json()["checks"]["redis"]["status"], alive.status_code) == (
        503,
        "unavailable",
        200,
    )


async def test_a_hanging_redis_costs_a_bounded_time_and_no_turn_f2(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """Twenty turns at once on a Redis that does not answer are twenty turns, flagged, and none waits for another's.

    What they had sent to it is done late; the window is right all the same.
    """
    await keepsake.chat("First")
    with redis.hanging(STOPPED):
        async with asyncio.timeout(8):
            answers = await asyncio.gather(*(keepsake.chat(f"Message {n}") for n in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert all("session_cache" in answer.json()["degraded"] for answer in answers)
    await _check_window(keepsake, 21)


@pytest.mark.parametrize("command", ["CLIENT PAUSE 3000 ALL", "DEBUG SLEEP 3"])
async def test_a_redis_busy_with_itself_is_right_afterwards_f2(
    keepsake: Keepsake, redis: RedisServer, command: str
) -> None:
    """Turns said while it hung by a command of its own are all there, and all in the next window."""
    await keepsake.chat("First")
    with redis.hanging(command):
        answers = await asyncio.gather(*(keepsake.chat(f"Message {n}") for n in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert "session_cache" in answers[0].json()["degraded"]
    await _check_window(keepsake, 6)


async def _check_window(keepsake: Keepsake, turns: int) -> None:
    """After so many turns, the next but one is warm and is given exactly the newest ten."""
    told = [turn["turn_id"] for turn in await keepsake.transcript()]
    assert len(told) == turns
    await asyncio.sleep(redis_sessions.REST_SECONDS)
    repaired, warm = [(await keepsake.chat(text)).json() for text in ("Back", "Again")]
    assert [entry["id"] for entry in warm["context"]] == [*told, repaired["turn_id"]][-10:]
    assert (warm["degraded"], warm["usage"]["cosmos_calls"]) == ([], 3)


@pytest.mark.parametrize("cut_at", range(1, 7))
async def test_a_lost_answer_of_redis_doubles_nothing_f3(
    cosmos: LocalCosmos, model: ModelServer, redis: RedisServer, cut_at: int
) -> None:
    """Applied, and the reply cut off: the command is repeated, and the window holds each turn once."""
    async with (
        CuttingProxy(redis.socket) as proxy,
        running(cosmos, model, redis_socket=str(proxy.socket)) as app,
    ):
        await app.chat("One")
        proxy.cut_answer(cut_at)
        await app.chat("Two", turn_id="t2")
        await app.chat("Two", turn_id="t2")
        answer = (await app.chat("Three")).json()
    assert (answer["seq"], _earlier(answer)) == (3, 4)


async def test_a_full_redis_is_no_redis_f4(keepsake: Keepsake, redis: RedisServer) -> None:
    """Out of memory on write: the turn is answered and flagged; with room again the window is whole."""
    await keepsake.chat("One")
    with redis.client() as client:
        client.config_set("maxmemory", 1)
    full = (await keepsake.chat("Two")).json()
    with redis.client() as client:
        client.config_set("maxmemory", 0)
    await asyncio.sleep(redis_sessions.REST_SECONDS)
    answer = (await keepsake.chat("Three")).json()
    assert (full["degraded"], answer["degraded"], _earlier(answer)) == (["session_cache"], [], 4)


async def test_under_eviction_no_session_is_torn_and_no_turn_lost_f4(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """With memory for a few sessions only, each session is whole or gone, and every turn is in its transcript."""
    with redis.client() as client:
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory-policy", "volatile-lru")
        client.config_set("maxmemory", used + 60_000)
    for n in range(60):
        answer = (
            await keepsake.chat("x" * 3000, session_id=f"s{n % 10}", memory={"recall": False})
        ).json()
        assert (answer["seq"], _earlier(answer)) == (n // 10 + 1, 2 * (n // 10))


async def test_a_replica_that_refuses_writes_is_no_redis_f5(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """After a failover to a server that is read-only for now: answered, flagged, right again afterwards."""
    await keepsake.chat("One")
    with redis.client() as client:
        client.config_set("replica-serve-stale-data", "yes")
        client.replicaof("127.0.0.1", "1")
        read_only = (await keepsake.chat("Two")).json()
        client.replicaof("NO", "ONE")
    await asyncio.sleep(redis_sessions.REST_SECONDS)
    answer = (await keepsake.chat("Three")).json()
    assert (read_only["degraded"], answer["seq"], _earlier(answer)) == (["session_cache"], 3, 4)


async def test_a_failover_in_the_middle_of_a_turn_loses_and_doubles_nothing_f5(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """The primary is killed while the model writes, its copy promoted: each turn sent again is as stored."""
    texts = [f"Message {n}" for n in range(8)]
    async with (
        running_failover() as servers,
        CuttingProxy(servers.primary.socket) as proxy,
        running(cosmos, model, redis_socket=str(proxy.socket)) as app,
    ):
        told = [await app.chat(text, turn_id=text) for text in texts[:3]]
        model.slow_next(0.3)
        under_way = asyncio.create_task(app.chat(texts[3], turn_id=texts[3]))
        await model.wait_for_requests(4)
        servers.primary.stop()
        told += [await under_way, await app.chat(texts[4], turn_id=texts[4])]
        await servers.until_promoted()
        proxy.switch_to(servers.copy.socket)
        await asyncio.sleep(redis_sessions.REST_SECONDS)
        told += [await app.chat(text, turn_id=text) for text in texts[5:]]
        again = [(await app.chat(text, turn_id=text)).json() for text in texts]
        last = [(await app.chat(text)).json() for text in ("One more", "And another")]
        transcript = await app.transcript()
    answers = [answer.json() for answer in told]
    assert [answer["degraded"] for answer in answers[3:6]] == [
        ["session_cache"],
        ["session_cache"],
        [],
    ]
    assert [(turn["turn_id"], turn["seq"]) for turn in transcript[:8]] == [
        (text, n) for n, text in enumerate(texts, 1)
    ]
    replies = [turn["messages"][-1]["content"] for turn in transcript[:8]]
    assert (
        replies == [answer["reply"] for answer in answers] == [answer["reply"] for answer in again]
    )
    assert [_earlier(answer) for answer in answers + last] == list(range(0, 20, 2))
    assert (last[1]["degraded"], last[1]["usage"]["cosmos_calls"]) == ([], WARM_CALLS)


async def test_a_redis_that_comes_back_with_old_content_is_not_believed_f5(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """A restored copy of an earlier window is told by the header, and repaired by the turn that meets it."""
    await keepsake.chat("One")
    with redis.client() as client:
        (key,) = client.keys("session:*")
        old = client.hgetall(key)
        await keepsake.chat("Two")
        client.delete(key)
        client.hset(key, mapping=old)
    answers = [(await keepsake.chat(text)).json() for text in ("Three", "Four")]
    assert [_earlier(answer) for answer in answers] == [4, 6]
    assert answers[1]["usage"]["cosmos_calls"] == WARM_CALLS


@pytest.mark.parametrize("field", ["gen", "n", "t:2"])
async def test_a_hash_that_lost_a_field_is_not_believed(
    keepsake: Keepsake, redis: RedisServer, field: str
) -> None:
    """Whatever is missing, the next turn reads Cosmos DB and puts the whole window back."""
    for text in ("One", "Two"):
        await keepsake.chat(text)
    with redis.client() as client:
        client.hdel(client.keys("session:*")[0], field)
    answers = [(await keepsake.chat(text)).json() for text in ("Three", "Four")]
    assert [_earlier(answer) for answer in answers] == [4, 6]
    assert answers[1]["usage"]["cosmos_calls"] == WARM_CALLS


async def test_a_window_that_lost_its_oldest_turn_is_only_shorter(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """What is left is still exactly the newest part of the transcript."""
    for text in ("One", "Two"):
        await keepsake.chat(text)
    with redis.client() as client:
        client.hdel(client.keys("session:*")[0], "t:1")
    assert _earlier((await keepsake.chat("Three")).json()) == 2


async def test_a_deleted_sessions_window_does_not_come_back(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """Bytes of a deleted session that reappear in Redis are shown to nobody."""
    await keepsake.chat("A secret")
    with redis.client() as client:
        (key,) = client.keys("session:*")
        buried = client.hgetall(key)
        async with keepsake.client() as http:
            await http.delete("/sessions/s")
        assert client.keys("session:*") == []
        client.hset(key, mapping=buried)
    answer = (await keepsake.chat("Hello")).json()
    assert (answer["seq"], _earlier(answer)) == (1, 0)


async def test_forgetting_a_session_waits_for_redis(keepsake: Keepsake, redis: RedisServer) -> None:
    """204 only after the copy is gone too; until then 503, and the same again finishes it."""
    await keepsake.chat("One")
    redis.stop()
    async with keepsake.client() as client:
        away = await client.delete("/sessions/s")
        redis.start()
        await asyncio.sleep(redis_sessions.REST_SECONDS)
        back = await client.delete("/sessions/s")
    assert (away.status_code, back.status_code) == (503, 204)


async def test_a_copy_of_a_deleted_session_is_forgotten_by_the_timer(
    keepsake: Keepsake, cosmos: LocalCosmos, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller who does not delete again leaves it to the timer."""
    await keepsake.chat("A secret")
    cache = (await keepsake.composition.services()).clients.redis
    async with keepsake.client() as client:
        with monkeypatch.context() as away:
            away.setattr(cache, "_resting_until", math.inf)
            assert (await client.delete("/sessions/s")).status_code == 503
    cosmos.clock.advance(301)
    await keepsake.tick()
    with redis.client() as client_of_redis:
        assert client_of_redis.keys("session:*") == []


async def test_scripts_are_loaded_again_after_a_flush(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """NOSCRIPT is not an error of a turn."""
    await keepsake.chat("One")
    with redis.client() as client:
        client.script_flush()
    assert (await keepsake.chat("Two")).json()["degraded"] == []


async def test_a_session_leaves_redis_when_idle_and_nothing_is_lost_f6(
    cosmos: LocalCosmos, model: ModelServer, redis: RedisServer
) -> None:
    """The key expires by itself; the next turn has the whole window."""
    async with running(
        cosmos, model, redis_socket=str(redis.socket), session_ttl_seconds=60
    ) as app:
        await app.chat("One")
        with redis.client() as client:
            (key,) = client.keys("session:*")
            assert 55 <= client.ttl(key) <= 60
            client.pexpire(key, 1)
            while client.exists(key):
                pass
        assert _earlier((await app.chat("Two")).json()) == 2


async def test_a_turn_makes_two_round_trips_to_redis(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """What `usage` says is what the server counted."""
    for text in ("One", "Two"):
        await keepsake.chat(text)
    with redis.client() as client:
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        usage = (await keepsake.chat("Three")).json()["usage"]
        after = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert (usage["redis_calls"], after - before) == (2, 2)


async def test_a_duplicate_of_a_finished_turn_asks_redis_once(keepsake: Keepsake) -> None:
    """The window answers it: one script, the header to prove it, the preferences beside it."""
    await keepsake.chat("One", turn_id="t1")
    again = (await keepsake.chat("One", turn_id="t1")).json()
    assert (again["replayed"], again["usage"]["redis_calls"], again["usage"]["cosmos_calls"]) == (
        True,
        1,
        2,
    )


async def test_a_duplicate_waits_for_the_request_that_works_on_it_f18(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """With a lease to tell by, the model is asked once for ten sends."""
    model.slow_next(0.3)
    answers = await asyncio.gather(*(keepsake.chat("Hello", turn_id="t1") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(model.requests) == 1


async def test_the_same_id_with_another_body_is_told_at_once_f18(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """While one body is being answered, another under its id is a conflict, without a model call."""
    model.slow_next(0.5)
    first = asyncio.create_task(keepsake.chat("Hello", turn_id="t1"))
    await model.wait_for_requests(1)
    assert (await keepsake.chat("Goodbye", turn_id="t1")).status_code == 409
    assert (await first).status_code == 200
    assert len(model.requests) == 1


async def test_a_dead_workers_lease_is_waited_for_no_longer_than_it_lasts_f46(
    keepsake: Keepsake,
) -> None:
    """The worker died with the lease: the resend takes over when the lease is over, and completes the turn."""
    await keepsake.chat("First")
    await _lease(keepsake, 0.5)
    answer = (await keepsake.chat("Hello", turn_id="t1")).json()
    assert (answer["seq"], answer["replayed"]) == (2, False)


async def test_a_lease_that_lasts_too_long_is_told_with_what_is_left_f46(
    keepsake: Keepsake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the wait: 409, and Retry-After is what is left of the lease."""
    monkeypatch.setattr(turn_protocol, "WAIT_SECONDS", 0.2)
    await keepsake.chat("First")
    await _lease(keepsake, 30)
    answer = await keepsake.chat("Hello", turn_id="t1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "turn_in_progress")
    assert 28 <= int(answer.headers["Retry-After"]) <= 30


async def test_a_record_of_a_turn_that_is_worked_on_is_told_in_time_f46(keepsake: Keepsake) -> None:
    """It waits for two of its three seconds, and is told who has the turn, not that the store is busy."""
    await keepsake.chat("First")
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
    asked = Asked(SessionId("s"), TurnId("t1"), body_hash(body), STORE_SECONDS)
    cache = (await keepsake.composition.services()).clients.redis
    assert cache
    await cache.open_turn(
        ADA, asked.session, LeaseRequest(asked.turn_id, asked.owner, asked.body_hash, 30)
    )
    async with keepsake.client() as client:
        answer = await client.put("/sessions/s/turns/t1", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "turn_in_progress")


async def test_a_failed_turn_drops_its_lease(keepsake: Keepsake, model: ModelServer) -> None:
    """After 503 the resend starts at once, not when the lease is over."""
    model.fail_next(500)
    assert (await keepsake.chat("Hello", turn_id="t1")).status_code == 503
    async with asyncio.timeout(5):
        assert (await keepsake.chat("Hello", turn_id="t1")).status_code == 200


@pytest.mark.timeout(600)  # half a minute of CPU on a machine that others use too
async def test_500_turns_at_once_each_twice_are_500_f19(
    cosmos: LocalCosmos, model: ModelServer, redis: RedisServer, cosmos_rows: Rows
) -> None:
    """All thousand requests at once, on two workers: five hundred in dense order, and at most two batches a turn.

    Who must send again waited long enough, for the other send of its turn or for its own. Where a core was to be had
    for it, no store was too slow.
    """
    watched = Watched()
    began, cpu_before = time.monotonic(), time.process_time()
    async with _workers(cosmos, model, redis, 2, wrap=watched.wrap) as workers:
        sends = [(workers[n % 2], f"t{n % 500}") for n in range(1000)]
        refused: set[str] = set()

        async def send(worker: Keepsake, turn_id: str) -> dict[str, Any]:
            while (answer := await worker.chat(turn_id, turn_id=turn_id)).status_code != 200:
                refused.add(answer.json()["error"]["code"])
                await asyncio.sleep(1)
            body: dict[str, Any] = answer.json()
            return body

        answers = await asyncio.gather(*(send(*one) for one in sends))
    share = (time.process_time() - cpu_before) / (time.monotonic() - began)
    assert refused <= {
        "turn_in_progress",
        "busy",
        *(["store_unavailable"] if share < HALF_A_CORE else []),
    }
    assert watched.batches <= 1000
    assert sorted(row["seq"] for row in cosmos_rows("turn")) == list(range(1, 501))
    assert len({answer["turn_id"] for answer in answers}) == 500
    assert {answer["reply"].split('"')[1] == answer["turn_id"] for answer in answers} == {True}


async def test_two_workers_share_one_session(
    cosmos: LocalCosmos, model: ModelServer, redis: RedisServer
) -> None:
    """Turns of one conversation may land on any instance; each sees all before it, warm."""
    async with _workers(cosmos, model, redis, 2) as workers:
        answers = [(await workers[n % 2].chat(f"Message {n}")).json() for n in range(6)]
    assert [_earlier(answer) for answer in answers] == [0, 2, 4, 6, 8, 10]
    assert {answer["usage"]["cosmos_calls"] for answer in answers[2:]} == {WARM_CALLS}


@asynccontextmanager
async def _workers(
    cosmos: LocalCosmos, model: ModelServer, redis: RedisServer, count: int, **options: Any
) -> AsyncIterator[list[Keepsake]]:
    async with AsyncExitStack() as stack:
        workers = [
            running(cosmos, model, redis_socket=str(redis.socket), **options) for _ in range(count)
        ]
        yield [await stack.enter_async_context(worker) for worker in workers]


async def _lease(keepsake: Keepsake, seconds: float) -> None:
    """What a worker leaves that died while it asked the model for the turn t1 with the message Hello."""
    asked = a_question(turn="t1").asked(60)
    services = await keepsake.composition.services()
    cache = services.clients.redis
    assert cache
    request = LeaseRequest(asked.turn_id, asked.owner, asked.body_hash, seconds)
    await cache.open_turn(ADA, asked.session, request)


def _earlier(answer: dict[str, Any]) -> int:
    """How many earlier messages the scripted model says it was given."""
    return int(answer["reply"].split("I was given ")[1].split()[0])
