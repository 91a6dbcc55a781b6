"""Many callers at once, then an audit of every transcript: `python -m bench.load`.

Callers talk HTTP to several app instances, each the real worker library in a process of its own, on one local Cosmos
DB, one Redis and a model that takes 300 ms, all in processes of their own, all on this machine. A caller asks, waits
for the answer and asks again, so the most there can be is callers / 0.3 turns a second. One turn in five is the hot
user's, in one session; one turn in twenty is sent twice, to two instances. The callers are aiohttp tasks, since the
audit needs what each of them was told; aiohttp is in the deployed set, so nothing is installed for it.
"""

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from bench.ledger import Ledger, Told, quantile
from bench.stack import cpu_seconds, program, running_stack

MODEL_SECONDS = 0.3
HOT_SHARE, TWICE_SHARE = 0.2, 0.05
SESSION = "s"
TRIES = 5  # a caller sends a refused turn again as it was told to; each refusal counts as an error
SEEDED = {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}
DEGRADED = ("window", "session_cache")  # the window missed turns of others; Redis did not answer
OK = 300  # statuses below it


class Callers:
    """Those who ask: users, where to ask, and what came of it."""

    def __init__(self, http: aiohttp.ClientSession, addresses: Sequence[str], users: int) -> None:
        """Take the instances and so many users; the first of them is the hot one."""
        self._http = http
        self._addresses = addresses
        self._random = random.Random(7)  # noqa: S311 - the same choices each time
        self.users = [f"user-{number}" for number in range(users)]
        self.ledger = Ledger()
        self.forget()

    def forget(self) -> None:
        """Begin a stage: no times, no costs."""
        self.times: dict[bool, list[float]] = defaultdict(list)  # by whether it was the hot user's
        self.usage: list[Mapping[str, float]] = []
        self.counts: Counter[str] = Counter()

    async def seed(self, user: str) -> None:
        """Give a user a session with one turn, so that the next is warm."""
        self.ledger.sent[user].add("seed")
        answer = await self._send("PUT", user, f"/sessions/{SESSION}/turns/seed", SEEDED)
        self.ledger.told[user, "seed"].append(Told(answer["seq"], "Hi"))

    async def ask(self) -> None:
        """One turn of somebody, now and then sent twice."""
        hot = self._random.random() < HOT_SHARE
        user = self.users[0] if hot else self._random.choice(self.users)
        turn = uuid4().hex
        self.ledger.sent[user].add(turn)
        if self._random.random() < TWICE_SHARE:
            apart = self._random.uniform(0, 2 * MODEL_SECONDS)
            await asyncio.gather(self._chat(user, turn), self._chat(user, turn, after=apart))
        else:
            start = time.perf_counter()
            await self._chat(user, turn)
            self.times[hot].append((time.perf_counter() - start) * 1000)
        self.counts["turns"] += 1

    async def transcript(self, user: str) -> list[dict[str, Any]]:
        """All turns of a user's session."""
        turns: list[dict[str, Any]] = []
        path = f"/sessions/{SESSION}/turns?limit=100"
        while path:
            page = await self._send("GET", user, path)
            turns += page["value"]
            path = page.get("next_link", "").removeprefix("/api")
        return turns

    async def _chat(self, user: str, turn: str, after: float = 0.0) -> None:
        await asyncio.sleep(after)
        body = {"message": f"Message {turn}", "session_id": SESSION, "turn_id": turn}
        answer = await self._send("POST", user, "/chat", body)
        if answer:
            self.ledger.told[user, turn].append(Told(answer["seq"], answer["reply"]))
            self.counts.update(replayed=answer["replayed"])
            self.counts.update(answer["degraded"])
            if not answer["replayed"] and not answer["degraded"]:
                self.usage.append(answer["usage"])

    async def _send(self, method: str, user: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer, in the end; without one, nothing, and the errors say why."""
        for _ in range(TRIES):
            address = self._random.choice(self._addresses)
            try:
                url, headers = f"{address}/api{path}", {"x-user-id": user}
                async with self._http.request(method, url, json=body, headers=headers) as response:
                    if response.status < OK:
                        answer: dict[str, Any] = await response.json()
                        return answer
                    self.ledger.errors[f"{response.status} {response.headers.get('x-ms-error-code')}"] += 1
                    await asyncio.sleep(float(response.headers.get("Retry-After", 1)))
            except aiohttp.ClientError as failed:
                self.ledger.errors[type(failed).__name__] += 1
        self.ledger.errors["given up"] += 1
        return {}


def main() -> int:
    """Load, measure, audit; 1 if the audit finds anything or anybody met an error."""
    return asyncio.run(_run(_parse()))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each stage (default: %(default)s)")
    parser.add_argument("--users", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64], help="callers at once, one stage each")
    parser.add_argument("--instances", type=int, default=2, help="of the app (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="20 users, two short stages: does it work?")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.users, arguments.clients = 1.0, 20, [1, 8]
    return arguments


async def _run(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as name:
        async with (
            running_stack(MODEL_SECONDS, Path(name)) as stack,
            _instances(arguments.instances, stack.settings, Path(name)) as instances,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ):
            callers = Callers(http, list(instances), arguments.users)
            await _each(callers.users, callers.seed)
            print(f"{arguments.users} users, {arguments.instances} instances, model {MODEL_SECONDS * 1000:.0f} ms")
            print("clients  turns/s  of most     p50     p99 | hot p50     p99 | cores | CPU ms a turn")
            parts = {"app": list(instances.values())} | {name: [pid] for name, pid in stack.parts.items()}
            for clients in arguments.clients:
                await _stage(callers, clients, arguments.seconds, parts)
            return await _audit(callers)


@contextlib.asynccontextmanager
async def _instances(count: int, settings: Mapping[str, str], folder: Path) -> AsyncIterator[dict[str, int]]:
    """The app so many times: addresses and processes."""
    async with contextlib.AsyncExitStack() as running:
        found = {}
        for number in range(count):
            command = (sys.executable, "-m", "local.functions", "--port", "0")
            one = await running.enter_async_context(program(folder / f"app-{number}.log", *command, settings=settings))
            found[one.says] = one.pid
        yield found


async def _stage(callers: Callers, clients: int, seconds: float, parts: Mapping[str, Sequence[int]]) -> None:
    """So many callers for so long; one row of the table."""
    callers.forget()
    before, start = _cpu(parts), time.perf_counter()

    async def work() -> None:
        while time.perf_counter() < start + seconds:
            await callers.ask()

    await asyncio.gather(*(work() for _ in range(clients)))
    took, turns = time.perf_counter() - start, callers.counts["turns"]
    spent = {name: after - before[name] for name, after in _cpu(parts).items()}
    busy = sum(spent.values()) / took / (os.cpu_count() or 1)
    shown = [quantile(callers.times[hot], share) for hot in (False, True) for share in (0.5, 0.99)]
    print(
        f"{clients:7} {turns / took:8.1f} {turns / took * MODEL_SECONDS / clients:8.2f} {shown[0]:7.0f} {shown[1]:7.0f}"
        f" | {shown[2]:7.0f} {shown[3]:7.0f} | {busy:5.0%} | "
        + ", ".join(f"{name} {seconds * 1000 / turns:.1f}" for name, seconds in spent.items())
    )
    print(f"        {_used(callers)}", flush=True)


def _cpu(parts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """CPU seconds of every part so far, and of the callers."""
    return {name: sum(map(cpu_seconds, pids)) for name, pids in parts.items()} | {"callers": time.process_time()}


def _used(callers: Callers) -> str:
    """What a turn took of the stores, in the middle, and what else happened."""
    names = ("request_units", "cosmos_calls", "redis_calls")
    used = ", ".join(f"{statistics.median(one[name] for one in callers.usage):g} {name}" for name in names)
    otherwise = ", ".join(f"{callers.counts[name]} {name}" for name in ("replayed", *DEGRADED))
    return f"a turn: {used}; {otherwise}"


async def _audit(callers: Callers) -> int:
    """Read every transcript, and compare it with what its user was told."""
    found: Counter[str] = Counter()
    stored = 0

    async def check(user: str) -> None:
        nonlocal stored
        transcript = await callers.transcript(user)
        stored += len(transcript)
        found.update(callers.ledger.audit(user, transcript))

    errors = dict(callers.ledger.errors)
    await _each(callers.users, check)
    kinds = ", ".join(f"{number} {kind}" for kind, number in found.items())
    sent = sum(len(turns) for turns in callers.ledger.sent.values())
    print(f"audit of {stored} turns of {len(callers.users)} users ({sent} sent): {kinds}; {errors or 'no'} errors")
    return int(bool(errors or found.total() or stored != sent))


async def _each(users: Sequence[str], work: Callable[[str], Awaitable[None]]) -> None:
    """Do it for every user, sixteen at a time."""
    waiting = iter(users)

    async def some() -> None:
        for user in waiting:
            await work(user)

    await asyncio.gather(*(some() for _ in range(16)))


if __name__ == "__main__":
    sys.exit(main())
