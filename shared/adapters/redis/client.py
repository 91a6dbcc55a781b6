"""The Redis client of a worker: bounded, impatient, with managed identity where there is TLS."""

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
MAX_CONNECTIONS = (
    64  # of one worker; a request that finds none free waits half a second, then goes without Redis
)


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Where Redis is: a host and port, or a local socket; with an identity to sign in with, or without."""

    host: str | None
    port: int
    tls: bool
    socket: str | None
    identity: AsyncTokenCredential | None


def connect(server: RedisServer) -> Redis:
    """A client for this server; it connects with its first command."""
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
        retry=Retry(
            NoBackoff(), 2
        ),  # every script is harmless to repeat (F3); a third failure means: go without
        retry_on_error=[AuthenticationError, BusyLoadingError, ReadOnlyError],
        **where,
    )
    return Redis.from_pool(pool)


class EntraCredentials(CredentialProvider):
    """User name and password of a connection out of an Entra ID token; azure-identity keeps and renews it.

    A server closes a connection whose token ran out; the retry opens the next with a fresh one (F7).
    """

    def __init__(self, identity: AsyncTokenCredential) -> None:
        """Use the app's identity."""
        self._identity = identity

    async def get_credentials_async(self) -> tuple[str, str]:
        """The identity's object id, and its token.

        Raises:
            AuthenticationError: there is no token now; to a turn that is a Redis that is away.
        """
        try:
            token = (await self._identity.get_token(REDIS_SCOPE)).token
        except AzureError as refused:
            raise AuthenticationError("no token for Redis") from refused
        return object_id(token), token


def object_id(token: str) -> str:
    """The `oid` claim: the name Redis knows the identity by. The token is ours, so nothing is verified here."""
    claims = token.split(".")[1]
    oid: str = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["oid"]
    return oid
