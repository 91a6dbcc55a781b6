"""A real Redis server for the length of a test session; started, stopped, paused and killed like one."""

import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from local.redis import server_arguments, server_binary, socket_folder

DEADLINE = 10.0


def chosen_binary() -> Path:
    """The server under test: KEEPSAKE_REDIS_SERVER, or the one that `make run` uses."""
    named = os.environ.get("KEEPSAKE_REDIS_SERVER")
    return Path(named) if named else server_binary()


class RedisServer:
    """One server on a unix socket, in memory."""

    def __init__(self) -> None:
        """Choose a socket."""
        self._folder = socket_folder()
        self.socket = self._folder.__enter__()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start, and return when it answers."""
        command = [*server_arguments(chosen_binary(), self.socket, None), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + DEADLINE
        while not self._answers():
            assert time.monotonic() < deadline, "the Redis server did not start"
            time.sleep(0.005)

    def stop(self) -> None:
        """Kill it: what it held is gone."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        """A plain client, to look behind the application."""
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def count_leases(self) -> int:
        """Leases that hold somebody up."""
        with self.client() as client:
            hashes = [client.hgetall(key) for key in client.keys("session:*")]
        return sum(name.startswith("o:") and not held.endswith(" 0") for one in hashes for name, held in one.items())

    def end_leases(self) -> None:
        """Let the time pass after which every lease is over."""
        with self.client() as client:
            for key in client.keys("session:*"):
                for name, held in client.hgetall(key).items():
                    if name.startswith("o:"):
                        client.hset(key, name, f"{held.rsplit(' ', 1)[0]} 0")

    def reset(self) -> None:
        """Everything as after a start: running, empty, with its own settings."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        self.resume()
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
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and remove the socket."""
        self.stop()
        self._folder.__exit__(None, None, None)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
