"""The three Redis scripts: what they store, what they do not bring back, and what they cut off."""

import math
import time
from collections.abc import AsyncIterator

import pytest

from shared.adapters.redis.client import RedisServer as Server
from shared.adapters.redis.client import connect
from shared.adapters.redis.session_cache import RedisSessionCache
from shared.domain.deadlines import Deadlines
from shared.domain.history import MAX_WINDOW_BYTES, MAX_WINDOW_TURNS
from shared.domain.ids import TurnId
from shared.ports.cache import (
    CachedSession,
    CacheUnavailable,
    LeaseConflict,
    LeaseHeld,
    LeaseRequest,
)
from tests.support.build import ADA, GEN, SESSION, a_message, a_turn
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def cache(redis: RedisServer) -> AsyncIterator[RedisSessionCache]:
    """The adapter on a real server."""
    sessions = RedisSessionCache(
        connect(Server(None, 0, tls=False, socket=str(redis.socket), identity=None)),
        60,
        Deadlines(),
    )
    yield sessions
    await sessions.close()


def a_lease(turn: str, owner: str = "me", body: str = "hash", seconds: float = 30) -> LeaseRequest:
    """A request for the lease of a turn."""
    return LeaseRequest(TurnId(turn), owner, body, seconds)


async def _add_turn(cache: RedisSessionCache, seq: int, owner: str = "me") -> None:
    await cache.open_turn(ADA, SESSION, a_lease(f"turn-{seq}", owner))
    await cache.close_turn(ADA, a_turn(seq), owner, () if seq == 1 else None)


async def _read_session(cache: RedisSessionCache) -> CachedSession:
    content = await cache.open_turn(ADA, SESSION, a_lease("probe", "prober"))
    assert isinstance(content, CachedSession)
    return content


async def test_a_deleted_key_stays_deleted(cache: RedisSessionCache, redis: RedisServer) -> None:
    """Closing a turn after a delete restores nothing, not even with a window at hand."""
    await cache.open_turn(ADA, SESSION, a_lease("turn-1"))
    await cache.delete(ADA, SESSION)
    await cache.close_turn(ADA, a_turn(1), "me", ())
    with redis.client() as client:
        assert client.keys("*") == []


async def test_only_the_lease_holder_stores_a_window(
    cache: RedisSessionCache,
) -> None:
    """After a delete and a new session, a late turn's window does not become the new session's."""
    await cache.open_turn(ADA, SESSION, a_lease("turn-9", "somebody else"))
    await cache.close_turn(ADA, a_turn(9), "me", [a_turn(8)])
    assert (await _read_session(cache)).gen is None


async def test_a_window_is_cut_to_twenty_turns(cache: RedisSessionCache) -> None:
    """The oldest turns are dropped first."""
    for seq in range(1, 26):
        await _add_turn(cache, seq)
    content = await _read_session(cache)
    assert [turn.seq for turn in content.turns] == list(range(26 - MAX_WINDOW_TURNS, 26))
    assert (content.gen, content.count) == (GEN, 25)


async def test_a_window_is_cut_to_64_kb_but_never_the_newest(cache: RedisSessionCache) -> None:
    """Large turns push out older ones; a single larger one stays."""
    await _add_turn(cache, 1)
    for seq, size in ((2, 40_000), (3, 40_000), (4, MAX_WINDOW_BYTES * 2)):
        await cache.open_turn(ADA, SESSION, a_lease(f"turn-{seq}"))
        await cache.close_turn(ADA, a_turn(seq, messages=(a_message("x" * size),)), "me", None)
        assert [turn.seq for turn in (await _read_session(cache)).turns][-1] == seq
    assert [turn.seq for turn in (await _read_session(cache)).turns] == [4]


@pytest.mark.parametrize("repeats", [1, 2])
async def test_closing_is_idempotent(cache: RedisSessionCache, repeats: int) -> None:
    """A command that the client repeated after a lost response adds one turn."""
    await _add_turn(cache, 1)
    await cache.open_turn(ADA, SESSION, a_lease("turn-2"))
    for _ in range(repeats):
        await cache.close_turn(ADA, a_turn(2), "me", None)
    assert [turn.seq for turn in (await _read_session(cache)).turns] == [1, 2]


async def test_a_gap_empties_the_window(cache: RedisSessionCache) -> None:
    """A turn that is not the next one cannot be appended; the next turn reads Cosmos DB."""
    await _add_turn(cache, 1)
    await cache.close_turn(ADA, a_turn(3), "me", None)
    assert (await _read_session(cache)).gen is None


async def test_leases_distinguish_owners_and_bodies(cache: RedisSessionCache) -> None:
    """The owner gets its lease again; others wait, conflict, or get a released one."""
    assert isinstance(await cache.open_turn(ADA, SESSION, a_lease("t")), CachedSession)
    assert isinstance(await cache.open_turn(ADA, SESSION, a_lease("t")), CachedSession)
    held = await cache.open_turn(ADA, SESSION, a_lease("t", "other"))
    assert isinstance(held, LeaseHeld)
    assert 29 < held.seconds <= 30
    assert isinstance(
        await cache.open_turn(ADA, SESSION, a_lease("t", "other", "another body")), LeaseConflict
    )
    await cache.release(ADA, SESSION, TurnId("t"), "other")
    assert isinstance(await cache.open_turn(ADA, SESSION, a_lease("t", "other")), LeaseHeld)
    await cache.release(ADA, SESSION, TurnId("t"), "me")
    assert isinstance(await cache.open_turn(ADA, SESSION, a_lease("t", "other")), CachedSession)


async def test_a_lease_is_released_during_the_pause(cache: RedisSessionCache) -> None:
    """A lease is released even during the pause after a failure, or a resend would wait for it."""
    await cache.open_turn(ADA, SESSION, a_lease("t"))
    cache._paused_until = math.inf
    with pytest.raises(CacheUnavailable):
        await cache.delete(ADA, SESSION)
    await cache.release(ADA, SESSION, TurnId("t"), "me")
    cache._paused_until = 0.0
    assert isinstance(await cache.open_turn(ADA, SESSION, a_lease("t", "other")), CachedSession)


async def test_a_session_without_turns_expires_too(
    cache: RedisSessionCache, redis: RedisServer
) -> None:
    """A worker that dies in a session's first turn leaves a lease behind, but not forever."""
    await cache.open_turn(ADA, SESSION, a_lease("t"))
    with redis.client() as client:
        assert 0 < client.ttl(client.keys("session:*")[0]) <= 60


async def test_an_active_session_does_not_expire(
    cache: RedisSessionCache, redis: RedisServer
) -> None:
    """Opening and closing a turn each restart the time to live."""
    await _add_turn(cache, 1)
    with redis.client() as client:
        (key,) = client.keys("session:*")
        client.expire(key, 5)
        await cache.open_turn(ADA, SESSION, a_lease("turn-2"))
        opened = client.ttl(key)
        client.expire(key, 5)
        await cache.close_turn(ADA, a_turn(2), "me", None)
        assert (opened > 5, client.ttl(key) > 5) == (True, True)


async def test_expired_leases_are_removed(cache: RedisSessionCache, redis: RedisServer) -> None:
    """A lease expired a minute ago is removed when the next turn closes; others stay."""
    await cache.open_turn(ADA, SESSION, a_lease("expired", "gone"))
    await cache.open_turn(ADA, SESSION, a_lease("active", "busy"))
    with redis.client() as client:
        (key,) = client.keys("session:*")
        client.hset(key, "o:expired", f"gone hash {int(time.time() * 1000) - 61_000}")
        await _add_turn(cache, 1)
        assert {name for name in client.hkeys(key) if name.startswith("o:")} == {"o:active"}


@pytest.mark.parametrize(
    ("field", "value"), [("gen", "not a gen"), ("n", "many"), ("t:1", "not a turn")]
)
async def test_a_damaged_hash_is_not_used(
    cache: RedisSessionCache, redis: RedisServer, field: str, value: str
) -> None:
    """An unreadable hash is not used, and closing a turn repairs it."""
    await _add_turn(cache, 1)
    with redis.client() as client:
        client.hset(client.keys("session:*")[0], field, value)
    content = await cache.open_turn(ADA, SESSION, a_lease("turn-2"))
    assert isinstance(content, CachedSession)
    assert content.gen is None
    await cache.close_turn(ADA, a_turn(2), "me", [a_turn(1)])
    assert [turn.seq for turn in (await _read_session(cache)).turns] == [1, 2]
