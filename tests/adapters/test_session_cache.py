"""The contract of the session cache, kept by every adapter that ships."""

from collections.abc import AsyncIterator

import pytest

from shared.adapters.no_session_cache import NoSessionCache
from shared.adapters.redis.client import RedisServer as Server
from shared.adapters.redis.client import connect
from shared.adapters.redis.session_cache import RedisSessionCache
from shared.domain.deadlines import Deadlines
from shared.domain.ids import SessionId, TurnId, UserId
from shared.ports.cache import CachedSession, LeaseRequest, SessionCache
from tests.support.build import ADA, SESSION, a_turn
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio
OWNER = "owner"


def a_lease(turn: str = "turn-1", owner: str = OWNER) -> LeaseRequest:
    """A request for the lease of a turn."""
    return LeaseRequest(TurnId(turn), owner, "hash", 30)


class SessionCacheContract:
    """What a turn relies on. A cache may hold nothing; what it holds must be true."""

    async def test_a_new_session_is_empty(self, cache: SessionCache) -> None:
        """Nothing is cached for a session that has no turns."""
        opened = await cache.open_turn(ADA, SESSION, a_lease())
        assert isinstance(opened, CachedSession)
        assert (opened.gen, opened.turns) == (None, ())

    async def test_opening_is_idempotent(self, cache: SessionCache) -> None:
        """The same owner gets its lease again."""
        first = await cache.open_turn(ADA, SESSION, a_lease())
        assert await cache.open_turn(ADA, SESSION, a_lease()) == first

    async def test_only_closed_turns_are_cached(self, cache: SessionCache) -> None:
        """The window holds nothing but the turns that were handed over, in order."""
        for seq in (1, 2):
            await self._take(cache, seq)
        assert await self._cached(cache) in ([], [1, 2])

    async def test_closing_is_idempotent(self, cache: SessionCache) -> None:
        """A turn that is closed again is cached once."""
        await self._take(cache, 1)
        await cache.close_turn(ADA, a_turn(1), OWNER, ())
        assert await self._cached(cache) in ([], [1])

    async def test_users_and_sessions_are_isolated(self, cache: SessionCache) -> None:
        """A turn is not seen under another user or session."""
        await self._take(cache, 1)
        assert await self._cached(cache, user=UserId("ben")) == []
        assert await self._cached(cache, session=SessionId("other")) == []

    async def test_nothing_survives_a_delete(self, cache: SessionCache) -> None:
        """A deleted session is empty, and a late close does not bring it back."""
        await self._take(cache, 1)
        await cache.delete(ADA, SESSION)
        await cache.close_turn(ADA, a_turn(2), OWNER, (a_turn(1),))
        assert await self._cached(cache) == []

    async def test_ending_a_missing_session_succeeds(self, cache: SessionCache) -> None:
        """Release, delete and close need neither a lease nor a session."""
        await cache.release(ADA, SESSION, TurnId("none"), OWNER)
        await cache.delete(ADA, SESSION)
        await cache.close_turn(ADA, a_turn(1), OWNER, None)
        assert await self._cached(cache) == []

    async def test_a_released_turn_can_be_taken_by_another(self, cache: SessionCache) -> None:
        """A failed attempt leaves nothing that a resend would have to wait for."""
        await cache.open_turn(ADA, SESSION, a_lease())
        await cache.release(ADA, SESSION, TurnId("turn-1"), OWNER)
        taken = await cache.open_turn(ADA, SESSION, a_lease(owner="another"))
        assert isinstance(taken, CachedSession)

    async def _take(self, cache: SessionCache, seq: int) -> None:
        await cache.open_turn(ADA, SESSION, a_lease(f"turn-{seq}"))
        window = () if seq == 1 else None
        await cache.close_turn(ADA, a_turn(seq), OWNER, window)

    async def _cached(
        self, cache: SessionCache, user: UserId = ADA, session: SessionId = SESSION
    ) -> list[int]:
        opened = await cache.open_turn(user, session, a_lease("probe", "prober"))
        assert isinstance(opened, CachedSession)
        return [turn.seq for turn in opened.turns]


class TestRedisSessionCache(SessionCacheContract):
    """On a real server."""

    @pytest.fixture
    async def cache(self, redis: RedisServer) -> AsyncIterator[RedisSessionCache]:
        """The adapter on an empty server."""
        server = Server(None, 0, tls=False, socket=str(redis.socket), identity=None)
        cache = RedisSessionCache(connect(server), 60, Deadlines())
        yield cache
        await cache.close()


class TestNoSessionCache(SessionCacheContract):
    """In the mode without Redis."""

    @pytest.fixture
    def cache(self) -> NoSessionCache:
        """The adapter that holds nothing."""
        return NoSessionCache()
