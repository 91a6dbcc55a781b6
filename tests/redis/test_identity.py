"""Redis opened with Entra ID tokens, over TLS: signed in by object id, signed in again when a token runs out."""

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
from shared.adapters.redis_client import RedisServer as Server
from shared.adapters.redis_client import connect, object_id
from shared.adapters.redis_sessions import RedisSessions
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
        """The token of now."""
        return AccessToken(self.token, int(time.time()) + 1)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        """Nothing to open."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Managed:
    """The settings that lead to a managed Redis, and who gives tokens for it."""

    settings: dict[str, Any]
    tokens: ManagedIdentity


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
    answered: set[int] = set()

    async def work(number: int) -> None:
        while identity.rotations <= 10:
            lease = LeaseRequest(TurnId("t"), "owner", "hash", 1)
            assert isinstance(
                await cache.open_turn(UserId("ada"), SessionId(f"s{number}"), lease), CachedSession
            )
            answered.add(number)
            if (
                len(answered) == 8
            ):  # each by the token of now; a call that met three changes would be given up
                answered.clear()
                identity.rotate()

    async with asyncio.timeout(30):
        await asyncio.gather(*(work(number) for number in range(8)))
    await cache.close()


@pytest.fixture
async def managed(
    redis: RedisServer, identity: RotatingIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Managed]:
    """Redis as Azure has it, and an app's environment."""
    async with (
        TlsProxy(redis.socket, server_context(tmp_path)) as proxy,
        ManagedIdentity(identity.token) as tokens,
    ):
        for name, value in tokens.environment.items():
            monkeypatch.setenv(name, value)
        yield Managed(
            {"redis_host": "127.0.0.1", "redis_port": proxy.port, "redis_tls": True}, tokens
        )


async def test_the_app_signs_in_by_tls_as_its_managed_identity(
    cosmos: LocalCosmos,
    model: ModelServer,
    redis: RedisServer,
    managed: Managed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A certificate that is trusted, a token of the platform: turns are warm, and nobody else is signed in."""
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
    assert managed.tokens.asked == ["https://redis.azure.com"]


async def test_a_server_without_a_trusted_certificate_is_given_no_token(
    cosmos: LocalCosmos, model: ModelServer, managed: Managed
) -> None:
    """Whoever took the address of our Redis learns nothing; turns go on without it."""
    async with running(cosmos, model, **managed.settings) as app:
        answer = (await app.chat("One")).json()
    assert answer["degraded"] == ["session_cache"]
    assert managed.tokens.asked == []


async def test_without_a_token_for_redis_turns_go_on_without_it(
    cosmos: LocalCosmos,
    model: ModelServer,
    managed: Managed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An identity that the platform refuses to vouch for is no more than a Redis that is away."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cosmos.crt"))
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    async with running(cosmos, model, **managed.settings) as app:
        answer = await app.chat("One")
    assert (answer.status_code, answer.json()["degraded"]) == (200, ["session_cache"])
    assert managed.tokens.asked


def test_the_user_name_is_the_object_id() -> None:
    """Azure knows an identity by the `oid` of its token, whatever padding the claims need."""
    for length in range(4):
        token = jwt.encode({"oid": OID, "pad": "x" * length}, "k" * 32, algorithm="HS256")
        assert object_id(token) == OID
