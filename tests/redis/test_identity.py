"""Redis opened with Entra ID tokens: signed in by object id, signed in again when a token runs out."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Self

import jwt
import pytest
from azure.core.credentials import AccessToken

from shared.adapters.redis_client import RedisServer as Server
from shared.adapters.redis_client import connect, object_id
from shared.adapters.redis_sessions import RedisSessions
from shared.domain.ids import SessionId, TurnId, UserId
from shared.ports import CachedSession, LeaseRequest
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

OID = "44444444-4444-4444-4444-444444444444"


class RotatingIdentity:
    """A credential whose tokens the server takes one at a time: a new one ends the connections of the old."""

    def __init__(self, server: RedisServer) -> None:
        """Give the first token."""
        self._server = server
        self.rotations = 0
        self.rotate()

    def rotate(self) -> None:
        """Let the current token run out."""
        self.rotations += 1
        claims = {"oid": OID, "n": self.rotations}
        self.token = jwt.encode(claims, "k" * 32, algorithm="HS256")
        with self._server.client() as client:
            client.acl_setuser(OID, enabled=True, passwords=f"+{self.token}", keys="*", commands=["+@all"], reset=True)
            client.client_kill_filter(_type="normal", skipme=True)

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        """The token of now."""
        return AccessToken(self.token, int(time.time()) + 1)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        """Nothing to open."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


@pytest.fixture
async def identity(redis: RedisServer) -> AsyncIterator[RotatingIdentity]:
    """An identity the server knows, and nobody else."""
    rotating = RotatingIdentity(redis)
    yield rotating
    with redis.client() as client:
        client.acl_deluser(OID)


async def test_tokens_run_out_under_load_and_no_request_fails_f7(
    redis: RedisServer, identity: RotatingIdentity
) -> None:
    """While the token changes again and again, and old connections are closed, every call is answered."""
    server = Server(host=None, port=0, tls=False, socket=str(redis.socket), identity=identity)
    cache = RedisSessions(connect(server), 60)
    stop = asyncio.Event()

    async def work(session: SessionId) -> int:
        calls = 0
        while not stop.is_set():
            lease = LeaseRequest(TurnId(f"t{calls % 5}"), "owner", "hash", 1)
            assert isinstance(await cache.open_turn(UserId("ada"), session, lease), CachedSession)
            calls += 1
        return calls

    workers = [asyncio.create_task(work(SessionId(f"s{n}"))) for n in range(8)]
    for _ in range(10):
        await asyncio.sleep(0.05)
        identity.rotate()
    stop.set()
    calls = await asyncio.gather(*workers)
    await cache.close()
    assert min(calls) > 5


def test_the_user_name_is_the_object_id() -> None:
    """Azure knows an identity by the `oid` of its token, whatever padding the claims need."""
    for length in range(4):
        token = jwt.encode({"oid": OID, "pad": "x" * length}, "k" * 32, algorithm="HS256")
        assert object_id(token) == OID
