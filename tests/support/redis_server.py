"""A real Redis server for a test session, which can be started, paused and killed."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.redis import server_arguments, server_binary, socket_folder

DEADLINE = 10.0
NEVER = Retry(NoBackoff(), 0)
STOPPED = "stopped"  # a way of hanging


def chosen_binary() -> Path:
    """The server under test: KEEPSAKE_REDIS_SERVER, or the one that `make run` uses."""
    named = os.environ.get("KEEPSAKE_REDIS_SERVER")
    return Path(named) if named else server_binary()


class RedisServer:
    """A server on a unix socket, in memory."""

    def __init__(self) -> None:
        """Choose a socket."""
        self._folder = socket_folder()
        self.socket = self._folder.__enter__()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start, and wait until it answers."""
        self._process = subprocess.Popen(
            [*self.command(), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait_until(self._answers, "the Redis server did not start")

    def command(self) -> list[str]:
        """The command line of the server."""
        options = ["--enable-debug-command", "local", "--dir", str(self.socket.parent)]
        return [*server_arguments(chosen_binary(), self.socket, None), *options]

    def stop(self) -> None:
        """Kill the server: its data is lost."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def hanging(self, method: str) -> Iterator[None]:
        """Let the server hang, stopped or blocked by a command, while the block runs."""
        assert self._process
        with socket.socket(socket.AF_UNIX) as connection:
            if method == STOPPED:
                self._process.send_signal(signal.SIGSTOP)
            else:
                connection.connect(str(self.socket))
                connection.sendall(f"{method}\r\n".encode())
            self._wait_until(
                lambda: not self._answers(timeout=0.1), "the Redis server did not hang"
            )
            try:
                yield
            finally:
                self._process.send_signal(signal.SIGCONT)
                self._wait_until(self._answers, "the Redis server hangs")

    def client(self) -> redis.Redis:
        """A client to inspect the server without the application."""
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def count_leases(self) -> int:
        """The number of active leases."""
        with self.client() as client:
            hashes = [client.hgetall(key) for key in client.keys("session:*")]
        return sum(
            name.startswith("o:") and not lease.endswith(" 0")
            for session_hash in hashes
            for name, lease in session_hash.items()
        )

    def expire_leases(self) -> None:
        """Make every lease expire now."""
        with self.client() as client:
            for key in client.keys("session:*"):
                for name, lease in client.hgetall(key).items():
                    if name.startswith("o:"):
                        client.hset(key, name, f"{lease.rsplit(' ', 1)[0]} 0")

    def reset(self) -> None:
        """Reset the server: running, empty, with its original settings."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        with self.client() as client:
            client.replicaof("NO", "ONE")
            client.config_set("maxmemory", 0)
            client.flushall()
            client.script_flush()
            client.config_resetstat()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and remove the socket."""
        self.stop()
        self._folder.__exit__(None, None, None)

    def _answers(self, timeout: float | None = None) -> bool:
        try:
            with redis.Redis(
                unix_socket_path=str(self.socket), socket_timeout=timeout, retry=NEVER
            ) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    @staticmethod
    def _wait_until(condition: Callable[[], bool], failure: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, failure
            time.sleep(0.005)
