"""Two Redis servers, one copying the other, and a sentinel that puts the copy in the place of a dead primary."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import redis

from tests.support.redis_server import DEADLINE, RedisServer, chosen_binary

NAME = "keepsake"


class Sentinel(RedisServer):
    """The server's binary in its other role."""

    def command(self) -> list[str]:
        """A sentinel keeps what it learns in its configuration file."""
        kept = self.socket.parent / "sentinel.conf"
        kept.write_text(f"port 0\nunixsocket {self.socket}\ndir {self.socket.parent}\n")
        return [str(chosen_binary()), str(kept), "--sentinel"]


@dataclass(frozen=True, slots=True)
class Failover:
    """A primary, and its copy."""

    primary: RedisServer
    copy: RedisServer

    async def until_promoted(self) -> None:
        """Return when the sentinel has made the copy a primary.

        Raises:
            TimeoutError: it has not.
        """
        with self.copy.client() as client:
            await _until(lambda: client.info("replication")["role"] == "master")


@contextlib.asynccontextmanager
async def running_failover() -> AsyncIterator[Failover]:
    """All three, watching each other, until the block ends."""
    with RedisServer() as primary, RedisServer() as copy, Sentinel() as sentinel:
        with primary.client() as client, copy.client() as follower:
            client.config_set("repl-diskless-sync-delay", 0)
            port = _open_port(client)
            _open_port(follower)
            follower.replicaof("127.0.0.1", str(port))
            await _until(lambda: follower.info("replication")["master_link_status"] == "up")
        with sentinel.client() as client:
            client.sentinel_monitor(NAME, "127.0.0.1", port, 1)
            client.sentinel_set(
                NAME, "down-after-milliseconds", 1000
            )  # a busy machine is no dead one
            await _until(lambda: bool(client.sentinel_slaves(NAME)))
        yield Failover(primary, copy)


def _open_port(client: redis.Redis) -> int:
    """Let the server listen on loopback too, on a port it could really take."""
    client.config_set("bind", "127.0.0.1")
    while True:
        port = random.randrange(20_000, 60_000)  # noqa: S311 - any will do
        with contextlib.suppress(redis.ResponseError):
            client.config_set("port", port)
            return port


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(3 * DEADLINE):
        while not holds():  # noqa: ASYNC110 - other processes, no event tells
            await asyncio.sleep(0.02)
