"""Faults of Redis: turns are answered from Cosmos DB and flagged, and the window stays correct."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from shared.domain.deadlines import Deadlines
from shared.domain.ids import SessionId, TurnId
from shared.domain.turns import body_hash
from shared.ports.cache import LeaseRequest
from tests.conftest import Rows, Start
from tests.support.app import PATIENT, WARM_CALLS, Keepsake, running
from tests.support.ask import ADA, a_chat_request
from tests.support.cutting_proxy import CuttingProxy
from tests.support.failover import running_failover
from tests.support.faulty import BatchCounter
from tests.support.model_server import ModelServer
from tests.support.redis_server import STOPPED, RedisServer

pytestmark = pytest.mark.anyio
PAUSE = 0.05  # seconds for which Redis is not used after a failure
QUICK = replace(PATIENT, redis_pause=PAUSE)
# the deadlines of a machine with little CPU
UNHURRIED = replace(QUICK, turn=300, opening=30, commit=30, cosmos_call=20, redis_call=10)


@pytest.fixture
def session_cache(redis: RedisServer) -> dict[str, Any]:
    """With Redis only."""
    return {"redis_socket": str(redis.socket)}


@pytest.fixture
def deadlines() -> Deadlines:
    """Redis is used again soon after a failure."""
    return QUICK


async def test_without_redis_turns_are_answered_from_cosmos_f1(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """Turns are flagged while Redis is down; two turns after its return they are warm."""
    await keepsake.chat("One")
    redis.stop()
    down = [(await keepsake.chat(text)).json() for text in ("Two", "Three")]
    redis.start()
    await asyncio.sleep(PAUSE)
    back = [(await keepsake.chat(text)).json() for text in ("Four", "Five")]
    assert [answer["degraded"] for answer in down + back] == [
        ["session_cache"],
        ["session_cache"],
        [],
        [],
    ]
    assert [answer["seq"] for answer in down + back] == [2, 3, 4, 5]
    assert [_count_earlier(answer) for answer in down + back] == [2, 4, 6, 8]
    assert back[1]["usage"]["cosmos_calls"] == WARM_CALLS


async def test_readiness_is_red_and_liveness_green_without_redis_f1(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """Readiness names Redis; liveness does not let the platform restart a healthy app."""
    redis.stop()
    async with keepsake.client(None) as client:
        ready, alive = await client.get("/health/ready"), await client.get("/health")
    assert (ready.status_code, ready.json()["checks"]["redis"]["status"], alive.status_code) == (
        503,
        "unavailable",
        200,
    )


async def test_a_hanging_redis_delays_turns_for_a_bounded_time_f2(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """Twenty concurrent turns are answered, flagged, and do not wait for each other.

    Redis executes the commands later; the window is correct anyway.
    """
    await keepsake.chat("First")
    with redis.hanging(STOPPED):
        async with asyncio.timeout(8):
            answers = await asyncio.gather(*(keepsake.chat(f"Message {n}") for n in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert all("session_cache" in answer.json()["degraded"] for answer in answers)
    await _check_window(keepsake, 21)


@pytest.mark.parametrize("command", ["CLIENT PAUSE 3000 ALL", "DEBUG SLEEP 3"])
async def test_the_window_is_correct_after_redis_was_blocked_f2(
    keepsake: Keepsake, redis: RedisServer, command: str
) -> None:
    """Turns taken while Redis was blocked are all stored and all in the next window."""
    await keepsake.chat("First")
    with redis.hanging(command):
        answers = await asyncio.gather(*(keepsake.chat(f"Message {n}") for n in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert "session_cache" in answers[0].json()["degraded"]
    await _check_window(keepsake, 6)


async def _check_window(keepsake: Keepsake, turns: int) -> None:
    """Check that the turn after the next one is warm and gets the newest turns without a gap."""
    turn_ids = [turn["turn_id"] for turn in await keepsake.transcript()]
    assert len(turn_ids) == turns
    await asyncio.sleep(PAUSE)
    repaired, warm = [(await keepsake.chat(text)).json() for text in ("Back", "Again")]
    included = [entry["id"] for entry in warm["context"]]
    assert included == [*turn_ids, repaired["turn_id"]][-len(included) :]
    assert len(included) >= min(turns + 1, 10)
    assert (warm["degraded"], warm["usage"]["cosmos_calls"]) == ([], 3)


@pytest.mark.parametrize("cut_at", range(1, 7))
async def test_a_lost_response_of_redis_duplicates_nothing_f3(
    cosmos: LocalCosmos, model: ModelServer, redis: RedisServer, cut_at: int
) -> None:
    """A command whose response was lost is repeated, and the window holds each turn once."""
    async with (
        CuttingProxy(redis.socket) as proxy,
        running(cosmos, model, deadlines=QUICK, redis_socket=str(proxy.socket)) as app,
    ):
        await app.chat("One")
        proxy.cut_response(cut_at)
        await app.chat("Two", turn_id="t2")
        await app.chat("Two", turn_id="t2")
        answer = (await app.chat("Three")).json()
    assert (answer["seq"], _count_earlier(answer)) == (3, 4)


async def test_a_full_redis_counts_as_unavailable_f4(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """Out of memory, the turn is flagged; with free memory, the window is complete again."""
    await keepsake.chat("One")
    with redis.client() as client:
        client.config_set("maxmemory", 1)
    full = (await keepsake.chat("Two")).json()
    with redis.client() as client:
        client.config_set("maxmemory", 0)
    await asyncio.sleep(PAUSE)
    answer = (await keepsake.chat("Three")).json()
    assert (full["degraded"], answer["degraded"], _count_earlier(answer)) == (
        ["session_cache"],
        [],
        4,
    )


async def test_eviction_leaves_sessions_complete_or_gone_f4(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """With memory for a few sessions, each one is complete or gone, and no turn is lost."""
    with redis.client() as client:
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory-policy", "volatile-lru")
        client.config_set("maxmemory", used + 60_000)
    for n in range(60):
        answer = (
            await keepsake.chat("x" * 3000, session_id=f"s{n % 10}", memory={"recall": False})
        ).json()
        assert (answer["seq"], _count_earlier(answer)) == (n // 10 + 1, 2 * (n // 10))


async def test_a_read_only_replica_counts_as_unavailable_f5(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """On a read-only server turns are flagged; when it is writable the window is correct."""
    await keepsake.chat("One")
    with redis.client() as client:
        client.config_set("replica-serve-stale-data", "yes")
        client.replicaof("127.0.0.1", "1")
        read_only = (await keepsake.chat("Two")).json()
        client.replicaof("NO", "ONE")
    await asyncio.sleep(PAUSE)
    answer = (await keepsake.chat("Three")).json()
    assert (read_only["degraded"], answer["seq"], _count_earlier(answer)) == (
        ["session_cache"],
        3,
        4,
    )


async def test_a_failover_during_a_turn_loses_and_duplicates_nothing_f5(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """The primary is killed during generation: every turn is stored once and can be replayed."""
    texts = [f"Message {n}" for n in range(8)]
    async with (
        running_failover() as servers,
        CuttingProxy(servers.primary.socket) as proxy,
        running(cosmos, model, deadlines=QUICK, redis_socket=str(proxy.socket)) as app,
    ):
        responses = [await app.chat(text, turn_id=text) for text in texts[:3]]
        model.slow_next(0.3)
        in_progress = asyncio.create_task(app.chat(texts[3], turn_id=texts[3]))
        await model.wait_for_requests(4)
        servers.primary.stop()
        responses += [await in_progress, await app.chat(texts[4], turn_id=texts[4])]
        await servers.until_promoted()
        proxy.switch_to(servers.replica.socket)
        await asyncio.sleep(PAUSE)
        responses += [await app.chat(text, turn_id=text) for text in texts[5:]]
        again = [(await app.chat(text, turn_id=text)).json() for text in texts]
        last = [(await app.chat(text)).json() for text in ("One more", "And another")]
        transcript = await app.transcript()
    answers = [answer.json() for answer in responses]
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
    assert [_count_earlier(answer) for answer in answers + last] == list(range(0, 20, 2))
    assert (last[1]["degraded"], last[1]["usage"]["cosmos_calls"]) == ([], WARM_CALLS)


async def test_outdated_content_of_redis_is_not_used_f5(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """The header reveals that a restored window is outdated, and the next turn repairs it."""
    await keepsake.chat("One")
    with redis.client() as client:
        (key,) = client.keys("session:*")
        old = client.hgetall(key)
        await keepsake.chat("Two")
        client.delete(key)
        client.hset(key, mapping=old)
    answers = [(await keepsake.chat(text)).json() for text in ("Three", "Four")]
    assert [_count_earlier(answer) for answer in answers] == [4, 6]
    assert answers[1]["usage"]["cosmos_calls"] == WARM_CALLS


@pytest.mark.parametrize("field", ["gen", "n", "t:2"])
async def test_a_hash_without_one_of_its_fields_is_not_used(
    keepsake: Keepsake, redis: RedisServer, field: str
) -> None:
    """Whichever field is missing, the next turn reads Cosmos DB and restores the whole window."""
    for text in ("One", "Two"):
        await keepsake.chat(text)
    with redis.client() as client:
        client.hdel(client.keys("session:*")[0], field)
    answers = [(await keepsake.chat(text)).json() for text in ("Three", "Four")]
    assert [_count_earlier(answer) for answer in answers] == [4, 6]
    assert answers[1]["usage"]["cosmos_calls"] == WARM_CALLS


async def test_a_window_without_its_oldest_turn_is_still_used(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """The rest is still exactly the newest part of the transcript."""
    for text in ("One", "Two"):
        await keepsake.chat(text)
    with redis.client() as client:
        client.hdel(client.keys("session:*")[0], "t:1")
    assert _count_earlier((await keepsake.chat("Three")).json()) == 2


async def test_a_deleted_sessions_window_is_not_used(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """Data of a deleted session that reappears in Redis is never used."""
    await keepsake.chat("A secret")
    with redis.client() as client:
        (key,) = client.keys("session:*")
        deleted = client.hgetall(key)
        async with keepsake.client() as http:
            await http.delete("/sessions/s")
        assert client.keys("session:*") == []
        client.hset(key, mapping=deleted)
    answer = (await keepsake.chat("Hello")).json()
    assert (answer["seq"], _count_earlier(answer)) == (1, 0)


async def test_deleting_a_session_includes_redis(keepsake: Keepsake, redis: RedisServer) -> None:
    """DELETE returns 204 only after the cached copy is deleted; a repeated DELETE finishes it."""
    await keepsake.chat("One")
    redis.stop()
    async with keepsake.client() as client:
        while_down = await client.delete("/sessions/s")
        redis.start()
        await asyncio.sleep(PAUSE)
        back = await client.delete("/sessions/s")
    assert (while_down.status_code, back.status_code) == (503, 204)


async def test_the_timer_deletes_the_cached_copy_of_a_deleted_session(
    keepsake: Keepsake, cosmos: LocalCosmos, redis: RedisServer
) -> None:
    """If the caller does not repeat the DELETE, the timer finishes it."""
    await keepsake.chat("A secret")
    cache = (await keepsake.composition.services()).clients.redis
    async with keepsake.client() as client:
        assert cache
        cache._paused_until = math.inf
        assert (await client.delete("/sessions/s")).status_code == 503
        cache._paused_until = 0.0
    cosmos.clock.advance(301)
    await keepsake.run_timers()
    with redis.client() as redis_client:
        assert redis_client.keys("session:*") == []


async def test_scripts_are_reloaded_after_a_flush(keepsake: Keepsake, redis: RedisServer) -> None:
    """NOSCRIPT does not fail a turn."""
    await keepsake.chat("One")
    with redis.client() as client:
        client.script_flush()
    assert (await keepsake.chat("Two")).json()["degraded"] == []


async def test_an_idle_session_expires_in_redis_without_loss_f6(
    cosmos: LocalCosmos, model: ModelServer, redis: RedisServer
) -> None:
    """The key expires by itself, and the next turn has the whole window."""
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
        assert _count_earlier((await app.chat("Two")).json()) == 2


async def test_a_turn_makes_two_round_trips_to_redis(
    keepsake: Keepsake, redis: RedisServer
) -> None:
    """`usage` reports what the server counted."""
    for text in ("One", "Two"):
        await keepsake.chat(text)
    with redis.client() as client:
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        usage = (await keepsake.chat("Three")).json()["usage"]
        after = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert (usage["redis_calls"], after - before) == (2, 2)


async def test_a_replay_makes_one_round_trip_to_redis(keepsake: Keepsake) -> None:
    """A replay costs one script, one read of the header and one of the preferences."""
    await keepsake.chat("One", turn_id="t1")
    again = (await keepsake.chat("One", turn_id="t1")).json()
    assert (again["replayed"], again["usage"]["redis_calls"], again["usage"]["cosmos_calls"]) == (
        True,
        1,
        2,
    )


async def test_a_duplicate_waits_for_the_request_that_holds_the_lease_f18(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Thanks to the lease, ten sends cost one model call."""
    model.slow_next(0.3)
    answers = await asyncio.gather(*(keepsake.chat("Hello", turn_id="t1") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(model.requests) == 1


async def test_a_different_body_under_a_leased_turn_id_conflicts_at_once_f18(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """While a turn is in progress, another body under its id is a conflict without a model call."""
    model.slow_next(0.5)
    first = asyncio.create_task(keepsake.chat("Hello", turn_id="t1"))
    await model.wait_for_requests(1)
    assert (await keepsake.chat("Goodbye", turn_id="t1")).status_code == 409
    assert (await first).status_code == 200
    assert len(model.requests) == 1


async def test_a_resend_takes_over_when_a_dead_workers_lease_expires_f46(
    keepsake: Keepsake,
) -> None:
    """A resend waits until a dead worker's lease expires, and then completes the turn."""
    await keepsake.chat("First")
    await _take_lease(keepsake, 0.5)
    answer = (await keepsake.chat("Hello", turn_id="t1")).json()
    assert (answer["seq"], answer["replayed"]) == (2, False)


async def test_a_long_lease_is_409_with_the_remaining_time_f46(
    start: Start,
) -> None:
    """After the wait it is 409, and Retry-After is the rest of the lease."""
    async with start(replace(PATIENT, duplicate_wait=0.2)) as keepsake:
        await keepsake.chat("First")
        await _take_lease(keepsake, 30)
        answer = await keepsake.chat("Hello", turn_id="t1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "turn_in_progress")
    assert 28 <= int(answer.headers["Retry-After"]) <= 30


async def test_recording_a_leased_turn_is_409_before_its_deadline_f46(keepsake: Keepsake) -> None:
    """The request waits for two of its three seconds and then names the lease, not the store."""
    await keepsake.chat("First")
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
    cache = (await keepsake.composition.services()).clients.redis
    assert cache
    lease = LeaseRequest(TurnId("t1"), "another", body_hash(body), 30)
    await cache.open_turn(ADA, SessionId("s"), lease)
    async with keepsake.client() as client:
        answer = await client.put("/sessions/s/turns/t1", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "turn_in_progress")


async def test_a_failed_turn_releases_its_lease(keepsake: Keepsake, model: ModelServer) -> None:
    """After a 503, a resend starts at once and does not wait for the lease."""
    model.fail_next(500)
    assert (await keepsake.chat("Hello", turn_id="t1")).status_code == 503
    async with asyncio.timeout(5):
        assert (await keepsake.chat("Hello", turn_id="t1")).status_code == 200


@pytest.mark.timeout(600)  # half a minute of CPU, longer on a shared machine
async def test_500_concurrent_turns_sent_twice_are_stored_once_f19(
    cosmos: LocalCosmos, model: ModelServer, redis: RedisServer, cosmos_rows: Rows
) -> None:
    """A thousand concurrent requests on two workers: 500 turns, with at most two batches per turn.

    A request is refused only after waiting for the other send of its turn or for its own commit.
    No store is reported as unavailable: the deadlines allow for a machine with little CPU.
    """
    counter = BatchCounter()
    async with _workers(cosmos, model, redis, 2, wrap=counter.wrap, deadlines=UNHURRIED) as workers:
        sends = [(workers[n % 2], f"t{n % 500}") for n in range(1000)]
        refused: set[str] = set()

        async def send(worker: Keepsake, turn_id: str) -> dict[str, Any]:
            while (answer := await worker.chat(turn_id, turn_id=turn_id)).status_code != 200:
                refused.add(answer.json()["error"]["code"])
                await asyncio.sleep(1)
            body: dict[str, Any] = answer.json()
            return body

        answers = await asyncio.gather(*(send(*one) for one in sends))
    assert refused <= {"turn_in_progress", "busy"}
    assert counter.batches <= 1000
    assert sorted(row["seq"] for row in cosmos_rows("turn")) == list(range(1, 501))
    assert len({answer["turn_id"] for answer in answers}) == 500
    assert {answer["reply"].split('"')[1] == answer["turn_id"] for answer in answers} == {True}


async def test_two_workers_share_one_session(
    cosmos: LocalCosmos, model: ModelServer, redis: RedisServer
) -> None:
    """Turns of one session may reach any worker; each sees all earlier turns and is warm."""
    async with _workers(cosmos, model, redis, 2) as workers:
        answers = [(await workers[n % 2].chat(f"Message {n}")).json() for n in range(6)]
    assert [_count_earlier(answer) for answer in answers] == [0, 2, 4, 6, 8, 10]
    assert {answer["usage"]["cosmos_calls"] for answer in answers[2:]} == {WARM_CALLS}


@asynccontextmanager
async def _workers(
    cosmos: LocalCosmos, model: ModelServer, redis: RedisServer, count: int, **options: Any
) -> AsyncIterator[list[Keepsake]]:
    async with AsyncExitStack() as stack:
        workers = [
            running(cosmos, model, redis_socket=str(redis.socket), **{"deadlines": QUICK} | options)
            for _ in range(count)
        ]
        yield [await stack.enter_async_context(worker) for worker in workers]


async def _take_lease(keepsake: Keepsake, seconds: float) -> None:
    """Take the lease of turn t1 (Hello), like a worker that dies during generation."""
    request = a_chat_request(turn="t1")
    services = await keepsake.composition.services()
    cache = services.clients.redis
    assert cache
    lease = LeaseRequest(request.turn_id, "dead", body_hash(request.identity), seconds)
    await cache.open_turn(ADA, request.session, lease)


def _count_earlier(answer: dict[str, Any]) -> int:
    """How many earlier messages the scripted model says it was given."""
    return int(answer["reply"].split("I was given ")[1].split()[0])
