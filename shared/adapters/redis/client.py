"""The Redis client of a worker, with short timeouts."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError, BusyLoadingError, ReadOnlyError

REDIS_SCOPE = "https://redis.azure.com/.default"
MAX_CONNECTIONS = 64  # per worker; a request waits half a second for one, then skips Redis


@dataclass(frozen=True, slots=True)
class RedisServer:
    """The address of Redis, a host and port or a Unix socket, and the identity to sign in with."""

    host: str | None
    port: int
    tls: bool
    socket: str | None
    identity: AsyncTokenCredential | None


def connect(server: RedisServer) -> Redis:
    """Create a client; it connects on the first command."""
    where: dict[str, Any] = {"host": server.host, "port": server.port}
    kind: type[Connection | SSLConnection | UnixDomainSocketConnection] = Connection
    if server.socket:
        where, kind = {"path": server.socket}, UnixDomainSocketConnection
    elif server.tls:
        kind = SSLConnection
    if server.identity:
        where["credential_provider"] = EntraCredentials(server.identity)
    pool = BlockingConnectionPool(
        connection_class=kind,
        max_connections=MAX_CONNECTIONS,
        timeout=0.5,
        socket_connect_timeout=0.5,
        socket_timeout=0.5,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 2),  # every script is idempotent (F3)
        retry_on_error=[AuthenticationError, BusyLoadingError, ReadOnlyError],
        **where,
    )
    return Redis.from_pool(pool)


@dataclass(frozen=True, slots=True)
class EntraCredentials(CredentialProvider):
    """User name and password of a connection, from an Entra ID token.

    azure-identity caches and renews the token. Redis closes a connection whose token has expired;
    the retry opens another one with a new token (F7).
    """

    identity: AsyncTokenCredential

    async def get_credentials_async(self) -> tuple[str, str]:
        """The identity's object id and its token.

        Raises:
            AuthenticationError: no token can be had; a turn then treats Redis as unavailable.
        """
        try:
            token = (await self.identity.get_token(REDIS_SCOPE)).token
        except AzureError as refused:
            raise AuthenticationError(
                "No Entra ID token for Redis; check the identity"
            ) from refused
        return object_id(token), token


def object_id(token: str) -> str:
    """The `oid` claim, which is the user name in Redis; our own token needs no verification."""
    claims = token.split(".")[1]
    oid: str = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["oid"]
    return oid
