"""Redis with Entra ID over TLS: connections authenticate by object id and renew expired tokens."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import jwt
import pytest
from azure.core.credentials import AccessToken

from cosmos_local import LocalCosmos
from cosmos_local.certificate import server_context
from shared.adapters.redis.client import RedisServer as Server
from shared.adapters.redis.client import connect, object_id
from shared.adapters.redis.session_cache import RedisSessionCache
from shared.domain.deadlines import Deadlines
from shared.domain.ids import SessionId, TurnId, UserId
from shared.ports.cache import CachedSession, LeaseRequest
from tests.support.app import WARM_CALLS, running
from tests.support.cutting_proxy import TlsProxy
from tests.support.identity import ManagedIdentity
from tests.support.model_server import ModelServer
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

OID = "44444444-4444-4444-4444-444444444444"


class RotatingIdentity:
    """A credential with one valid token at a time: a new one closes the old one's connections."""

    def __init__(self, server: RedisServer) -> None:
        """Issue the first token."""
        self._server = server
        self.rotations = 0
        self.rotate()

    def rotate(self) -> None:
        """Let the current token expire."""
        self.rotations += 1
        claims = {"oid": OID, "n": self.rotations}
        self.token = jwt.encode(claims, "k" * 32, algorithm="HS256")
        with self._server.client() as client:
            client.acl_setuser(
                OID,
                enabled=True,
                passwords=f"+{self.token}",
                keys="*",
                commands=["+@all"],
                reset=True,
            )
            client.client_kill_filter(_type="normal", skipme=True)

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Return the current token."""
        return AccessToken(self.token, int(time.time()) + 1)

    async def close(self) -> None:
        """Do nothing."""

    async def __aenter__(self) -> Self:
        """Do nothing."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Managed:
    """The settings of a managed Redis, and the endpoint that issues tokens for it."""

    settings: dict[str, Any]
    tokens: ManagedIdentity


@pytest.fixture
async def identity(redis: RedisServer) -> AsyncIterator[RotatingIdentity]:
    """An identity that only the server under test knows."""
    credential = RotatingIdentity(redis)
    yield credential
    with redis.client() as client:
        client.acl_deluser(OID)


async def test_tokens_expire_under_load_without_a_failed_request_f7(
    redis: RedisServer, identity: RotatingIdentity
) -> None:
    """While tokens change and old connections are closed, every call succeeds."""
    server = Server(host=None, port=0, tls=False, socket=str(redis.socket), identity=identity)
    cache = RedisSessionCache(connect(server), 60, Deadlines())
    served: set[int] = set()

    async def open_turns(number: int) -> None:
        while identity.rotations <= 10:
            lease = LeaseRequest(TurnId("t"), "owner", "hash", 1)
            assert isinstance(
                await cache.open_turn(UserId("ada"), SessionId(f"s{number}"), lease), CachedSession
            )
            served.add(number)
            if len(served) == 8:  # each by the current token; three renewals would fail a call
                served.clear()
                identity.rotate()

    async with asyncio.timeout(30):
        await asyncio.gather(*(open_turns(number) for number in range(8)))
    await cache.close()


@pytest.fixture
async def managed(
    redis: RedisServer, identity: RotatingIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Managed]:
    """Redis as in Azure, and the environment of an app."""
    async with (
        TlsProxy(redis.socket, server_context(tmp_path)) as proxy,
        ManagedIdentity(identity.token) as tokens,
    ):
        for name, value in tokens.environment.items():
            monkeypatch.setenv(name, value)
        yield Managed(
            {"redis_host": "127.0.0.1", "redis_port": proxy.port, "redis_tls": True}, tokens
        )


async def test_the_app_authenticates_over_tls_with_its_managed_identity(
    cosmos: LocalCosmos,
    model: ModelServer,
    redis: RedisServer,
    managed: Managed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a trusted certificate and the platform's token, turns are warm."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cosmos.crt"))
    async with running(cosmos, model, **managed.settings) as app:
        answers = [(await app.chat(text)).json() for text in ("One", "Two")]
        with redis.client() as client:
            users = {
                connection["user"]
                for connection in client.client_list()
                if connection["cmd"] == "evalsha"
            }
    assert [answer["degraded"] for answer in answers] == [[], []]
    assert answers[1]["usage"]["cosmos_calls"] == WARM_CALLS
    assert users == {OID}
    assert managed.tokens.requested == ["https://redis.azure.com"]


async def test_a_server_without_a_trusted_certificate_gets_no_token(
    cosmos: LocalCosmos, model: ModelServer, managed: Managed
) -> None:
    """An impostor at Redis's address gets no token; turns are answered without Redis."""
    async with running(cosmos, model, **managed.settings) as app:
        answer = (await app.chat("One")).json()
    assert answer["degraded"] == ["session_cache"]
    assert managed.tokens.requested == []


async def test_without_a_token_turns_are_answered_without_redis(
    cosmos: LocalCosmos,
    model: ModelServer,
    managed: Managed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An identity without a token is the same as an unavailable Redis."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cosmos.crt"))
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    async with running(cosmos, model, **managed.settings) as app:
        answer = await app.chat("One")
    assert (answer.status_code, answer.json()["degraded"]) == (200, ["session_cache"])
    assert managed.tokens.requested


def test_the_user_name_is_the_object_id() -> None:
    """Azure knows an identity by its token's `oid`, whatever padding the claims need."""
    for length in range(4):
        token = jwt.encode({"oid": OID, "pad": "x" * length}, "k" * 32, algorithm="HS256")
        assert object_id(token) == OID
