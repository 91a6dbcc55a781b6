"""The session cache: one hash per session, one idempotent Lua script per operation."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from pydantic import TypeAdapter
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError

from shared.domain.deadlines import Deadlines
from shared.domain.errors import InvalidId
from shared.domain.history import MAX_WINDOW_BYTES, MAX_WINDOW_TURNS
from shared.domain.ids import Gen, SessionId, TurnId, UserId, digest_of
from shared.domain.turns import Turn
from shared.ports.cache import (
    CachedSession,
    CacheUnavailable,
    LeaseConflict,
    LeaseHeld,
    LeaseOutcome,
    LeaseRequest,
)
from shared.telemetry.meter import current_meter
from shared.telemetry.metrics import count_redis_unavailable
from shared.telemetry.spans import store_call

_turns = TypeAdapter(Turn)


class RedisSessionCache:
    """Windows and leases of running sessions; nothing breaks if Redis loses them."""

    name = "redis"

    def __init__(self, client: Redis, idle_ttl_seconds: int, deadlines: Deadlines) -> None:
        """Use a client that returns bytes; a session expires `idle_ttl_seconds` after last use."""
        self._client = client
        address = client.connection_pool.connection_kwargs
        self._server: str = address.get("path") or address["host"]
        self._idle_ttl = idle_ttl_seconds
        self._deadlines = deadlines
        self._open = self._script("open_turn")
        self._close = self._script("close_turn")
        self._release = self._script("release")
        self._paused_until = 0.0

    async def open_turn(
        self, user: UserId, session: SessionId, request: LeaseRequest
    ) -> LeaseOutcome:
        """Take the turn's lease and read the window, in one round trip.

        Idempotent: a repeat finds the same owner's lease.
        """
        arguments: list[Any] = [
            request.turn_id.value,
            request.owner,
            request.body_hash,
            int(request.seconds * 1000),
            self._idle_ttl,
        ]
        async with self._call("EVALSHA", "open_turn"):
            answer: Sequence[Any] = await self._open(keys=[_key(user, session)], args=arguments)
        if answer[0] == b"busy":
            return LeaseHeld(int(answer[1]) / 1000)
        if answer[0] == b"conflict":
            return LeaseConflict()
        return _read(dict(zip(answer[1::2], answer[2::2], strict=True)))

    async def close_turn(
        self, user: UserId, turn: Turn, owner: str, window: Sequence[Turn] | None
    ) -> None:
        """Append the committed turn or replace the window, and delete the lease.

        Idempotent: content that is already there, or newer, stays.
        """
        arguments: list[Any] = [
            turn.gen.value,
            turn.seq,
            turn.turn_id.value,
            _dump(turn),
            owner,
            self._idle_ttl,
        ]
        arguments += [MAX_WINDOW_TURNS, MAX_WINDOW_BYTES, int(window is not None)]
        for earlier in window or ():
            arguments += [earlier.seq, _dump(earlier)]
        async with self._call("EVALSHA", "close_turn"):
            await self._close(keys=[_key(user, turn.session_id)], args=arguments)

    async def release(self, user: UserId, session: SessionId, turn_id: TurnId, owner: str) -> None:
        """End the owner's lease. Idempotent: another owner's lease is not touched."""
        # Even during a pause: another request would wait for a lease that is left behind.
        async with self._call("EVALSHA", "release", even_paused=True):
            await self._release(keys=[_key(user, session)], args=[turn_id.value, owner])

    async def delete(self, user: UserId, session: SessionId) -> None:
        """Delete the session's hash. Idempotent: it is gone."""
        async with self._call("DEL"):
            await self._client.delete(_key(user, session))

    async def ping(self) -> None:
        """Ping Redis."""
        await self._client.ping()

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._client.aclose()

    def _script(self, name: str) -> AsyncScript:
        text = files(__package__).joinpath(f"lua/{name}.lua").read_text("utf-8")
        return self._client.register_script(text)

    @asynccontextmanager
    async def _call(
        self, command: str, script: str | None = None, *, even_paused: bool = False
    ) -> AsyncIterator[None]:
        if time.monotonic() < self._paused_until and not even_paused:
            raise CacheUnavailable
        current_meter().redis_calls += 1
        try:
            with store_call(self.name, command, self._server, procedure=script):
                async with asyncio.timeout(self._deadlines.redis_call):
                    yield
        except ResponseError as refused:  # an unexpected hash, or a server that accepts no writes
            count_redis_unavailable()
            raise CacheUnavailable from refused
        except (RedisError, OSError, TimeoutError) as failed:
            self._paused_until = time.monotonic() + self._deadlines.redis_pause
            count_redis_unavailable()
            raise CacheUnavailable from failed


def _key(user: UserId, session: SessionId) -> str:
    """The session's key, of digests; the braces put a user's sessions into one cluster slot."""
    return f"session:{{{digest_of(user.value)}}}:{digest_of(session.value)}"


def _dump(turn: Turn) -> bytes:
    """Write a turn with its id on the first line, so that scripts need not parse the rest."""
    return turn.turn_id.value.encode() + b"\n" + _turns.dump_json(turn)


def _read(fields: Mapping[bytes, bytes]) -> CachedSession:
    """Read a session from its hash; an incomplete or invalid one counts as empty."""
    try:
        gen, count = Gen(fields[b"gen"].decode()), int(fields[b"n"])
        turns = [
            _turns.validate_json(value.split(b"\n", 1)[1])
            for name, value in fields.items()
            if name[:2] == b"t:"
        ]
    except (KeyError, ValueError, IndexError, InvalidId):
        return CachedSession(None, 0, ())
    return CachedSession(gen, count, tuple(sorted(turns, key=lambda turn: turn.seq)))
