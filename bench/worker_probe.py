"""`python -m bench.worker_probe FOLDER REQUESTS STARTED RESULT`: one fresh worker, measured from inside.

It plays the host in this process with next to nothing of its own, so that what is measured is worker and app: indexes
the app of FOLDER, sends POST /api/chat so many times, and writes CPU, seconds and megabytes to RESULT. STARTED is the
monotonic time at which the parent started this process. Runs on the deployed set of packages (Linux).
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Self
from uuid import uuid4

from devtools.worker_protocol import Message, TypedData, Worker

AT_ONCE = 4  # requests under way
USERS = 100
TICK_SECONDS = 0.005
SETTLED = 500  # requests after which caches and pools are as large as they get


class Host:
    """One connection of the host to the worker's own web server."""

    def __init__(
        self, worker: Worker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Use an open connection."""
        self._worker = worker
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, worker: Worker) -> "Host":
        """Open a connection."""
        port = int(worker.http_uri.rsplit(":", 1)[1])
        return cls(worker, *await asyncio.open_connection("127.0.0.1", port))

    async def chat(self, number: int) -> None:
        """Tell the worker of an invocation, and send it the request, as the host does."""
        invocation, user = str(uuid4()), f"user-{number % USERS}"
        body = json.dumps({"message": f"Message {number}", "session_id": "s"}).encode()
        told = self._worker.invoke(self._worker.functions["chat"], _announced(), invocation)
        failed, status = await asyncio.gather(told, self._send(invocation, user, body))
        assert failed is None, failed
        assert status == 200, status  # noqa: PLR2004 - OK

    async def _send(self, invocation: str, user: str, body: bytes) -> int:
        head = (
            f"POST /api/chat HTTP/1.1\r\nhost: 127.0.0.1\r\nx-ms-invocation-id: {invocation}\r\nx-user-id: {user}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer.split("content-length:", 1)[1].split("\r\n", 1)[0])
        await self._reader.readexactly(length)
        return int(answer.split()[1])


class Silence:
    """The longest time in a block for which the event loop could not run because this process did something else.

    It is counted in CPU of the process: what other processes take from it on a busy machine is none of its silence.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.longest = 0.0
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to tick."""
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *details: object) -> None:
        """Stop."""
        assert self._ticking
        self._ticking.cancel()

    async def _tick(self) -> None:
        last = time.process_time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.process_time()
            self.longest, last = max(self.longest, now - last - TICK_SECONDS), now


def _announced() -> TypedData:
    body = TypedData()
    return TypedData(
        http=Message(method="POST", url="", headers={}, params={}, query={}, body=body)
    )


async def measure(folder: Path, requests: int, started: float) -> dict[str, float]:
    """Index, ask once, ask often."""
    before = time.thread_time()  # this thread's: the app's prefetch has a thread of its own
    worker = await Worker.start(folder)
    found = {"index_cpu": time.thread_time() - before, "indexed_at": time.monotonic() - started}
    host = await Host.connect(worker)
    async with Silence() as silence:
        await host.chat(0)
    found["silence"] = silence.longest
    found |= {
        "answered_at": time.monotonic() - started,
        "answered_cpu": time.process_time(),
        "rss_turn": resident(),
    }
    await _ask_often(worker, host, min(requests, SETTLED))
    found["rss_settled"] = resident()
    before = time.process_time()
    await _ask_often(worker, host, max(0, requests - SETTLED))
    return found | {"rss_end": resident(), "asked_cpu": time.process_time() - before}


async def _ask_often(worker: Worker, first: Host, requests: int) -> None:
    numbers = iter(range(requests))

    async def ask(host: Host) -> None:
        for number in numbers:
            await host.chat(number)

    hosts = [first, *[await Host.connect(worker) for _ in range(AT_ONCE - 1)]]
    await asyncio.gather(*map(ask, hosts))


def resident() -> float:
    """Megabytes this process holds."""
    line = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    app, count, since, result = sys.argv[1:]
    Path(result).write_text(json.dumps(asyncio.run(measure(Path(app), int(count), float(since)))))
