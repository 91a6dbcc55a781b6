"""`python -m bench.worker_probe FOLDER REQUESTS STARTED RESULT`: measure one worker from inside.

It replaces the host within the worker's process, with next to no work of its own: it indexes the
app in FOLDER, sends POST /api/chat REQUESTS times, and writes CPU, seconds and megabytes to RESULT.
STARTED is the monotonic time at which the parent started this process. It needs only the deployed
packages, and Linux.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import uuid4

from devtools.worker_protocol import Message, TypedData, Worker

CONNECTIONS = 4  # concurrent requests
USERS = 100
TICK_SECONDS = 0.005
SETTLED = 500  # requests after which caches and pools no longer grow


@dataclass(frozen=True, slots=True)
class Host:
    """One connection of the host to the worker's own web server."""

    worker: Worker
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def connect(cls, worker: Worker) -> "Host":
        """Connect to the worker's web server."""
        port = int(worker.http_uri.rsplit(":", 1)[1])
        return cls(worker, *await asyncio.open_connection("127.0.0.1", port))

    async def chat(self, number: int) -> None:
        """Announce an invocation to the worker and send it the request, as the host does."""
        invocation, user = str(uuid4()), f"user-{number % USERS}"
        body = json.dumps({"message": f"Message {number}", "session_id": "s"}).encode()
        invoked = self.worker.invoke(self.worker.functions["chat"], _http_data(), invocation)
        failed, status = await asyncio.gather(invoked, self._send(invocation, user, body))
        assert failed is None, failed
        assert status == 200, status  # noqa: PLR2004 - OK

    async def _send(self, invocation: str, user: str, body: bytes) -> int:
        head = (
            f"POST /api/chat HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"x-ms-invocation-id: {invocation}\r\nx-user-id: {user}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer.split("content-length:", 1)[1].split("\r\n", 1)[0])
        await self.reader.readexactly(length)
        return int(answer.split()[1])


@dataclass(slots=True)
class BlockedTime:
    """The longest time within a block for which this process kept its event loop from running.

    It is measured in CPU of the process, which excludes what other processes take.
    """

    longest: float = 0.0
    _ticking: asyncio.Task[None] | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        """Start ticking."""
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *details: object) -> None:
        """Stop ticking."""
        assert self._ticking
        self._ticking.cancel()

    async def _tick(self) -> None:
        last = time.process_time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.process_time()
            self.longest, last = max(self.longest, now - last - TICK_SECONDS), now


def _http_data() -> TypedData:
    body = TypedData()
    return TypedData(
        http=Message(method="POST", url="", headers={}, params={}, query={}, body=body)
    )


async def measure(folder: Path, requests: int, started: float) -> dict[str, float]:
    """Measure indexing, the first request, and the requests after it."""
    before = time.thread_time()  # of this thread, so without the app's prefetch
    worker = await Worker.start(folder)
    found = {"index_cpu": time.thread_time() - before, "indexed_at": time.monotonic() - started}
    host = await Host.connect(worker)
    async with BlockedTime() as blocked:
        await host.chat(0)
    found["blocked"] = blocked.longest
    found |= {
        "answered_at": time.monotonic() - started,
        "answered_cpu": time.process_time(),
        "rss_turn": resident(),
    }
    await _send_many(worker, host, min(requests, SETTLED))
    found["rss_settled"] = resident()
    before = time.process_time()
    await _send_many(worker, host, max(0, requests - SETTLED))
    return found | {"rss_end": resident(), "requests_cpu": time.process_time() - before}


async def _send_many(worker: Worker, first: Host, requests: int) -> None:
    numbers = iter(range(requests))

    async def send(host: Host) -> None:
        for number in numbers:
            await host.chat(number)

    hosts = [first, *[await Host.connect(worker) for _ in range(CONNECTIONS - 1)]]
    await asyncio.gather(*map(send, hosts))


def resident() -> float:
    """Return the megabytes of resident memory of this process."""
    line = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    app, count, since, result = sys.argv[1:]
    Path(result).write_text(json.dumps(asyncio.run(measure(Path(app), int(count), float(since)))))
