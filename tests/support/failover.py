"""A Redis primary, a replica, and a sentinel that promotes the replica when the primary dies."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import redis

from tests.support.redis_server import DEADLINE, RedisServer, chosen_binary

NAME = "keepsake"


class Sentinel(RedisServer):
    """The server binary in sentinel mode."""

    def command(self) -> list[str]:
        """The command line; a sentinel also writes to its configuration file."""
        config = self.socket.parent / "sentinel.conf"
        config.write_text(f"port 0\nunixsocket {self.socket}\ndir {self.socket.parent}\n")
        return [str(chosen_binary()), str(config), "--sentinel"]


@dataclass(frozen=True, slots=True)
class Failover:
    """A primary and its replica."""

    primary: RedisServer
    replica: RedisServer

    async def until_promoted(self) -> None:
        """Wait until the sentinel has promoted the replica.

        Raises:
            TimeoutError: it has not done so in time.
        """
        with self.replica.client() as client:
            await _until(lambda: client.info("replication")["role"] == "master")


@contextlib.asynccontextmanager
async def running_failover() -> AsyncIterator[Failover]:
    """Run primary, replica and sentinel until the block ends."""
    with RedisServer() as primary, RedisServer() as replica, Sentinel() as sentinel:
        with primary.client() as client, replica.client() as follower:
            client.config_set("repl-diskless-sync-delay", 0)
            port = _open_port(client)
            _open_port(follower)
            follower.replicaof("127.0.0.1", str(port))
            await _until(lambda: follower.info("replication")["master_link_status"] == "up")
        with sentinel.client() as client:
            client.sentinel_monitor(NAME, "127.0.0.1", port, 1)
            # a busy machine is not a dead one
            client.sentinel_set(NAME, "down-after-milliseconds", 1000)
            await _until(lambda: bool(client.sentinel_slaves(NAME)))
        yield Failover(primary, replica)


def _open_port(client: redis.Redis) -> int:
    """Let the server also listen on a free loopback port."""
    client.config_set("bind", "127.0.0.1")
    while True:
        port = random.randrange(20_000, 60_000)  # noqa: S311 - any port will do
        with contextlib.suppress(redis.ResponseError):
            client.config_set("port", port)
            return port


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(3 * DEADLINE):
        while not holds():  # noqa: ASYNC110 - other processes, no event
            await asyncio.sleep(0.02)
