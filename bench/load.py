"""Load from many callers, then an audit of every transcript: `python -m bench.load`.

Callers send turns over HTTP to several instances of the app, each in the real worker library. The
instances share one local Cosmos DB, one Redis and a model that takes 300 ms. Every part is a
process of its own on this machine. A caller waits for each answer before it sends the next turn, so
the maximum is callers / 0.3 turns a second. One turn in five belongs to the hot user, in one
session; one turn in twenty is sent twice, to any two instances. The callers are locust's
(bench/locustfile.py), in an environment of their own; they write what they sent and received to a
ledger.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench.environment import CannotBuildError, build_group
from bench.ledger import Answer, Ledger
from bench.stack import Stack, cpu_seconds, in_environment, program, running_stack
from bench.stage import HEADINGS, MODEL_SECONDS, Stage, print_row
from local.children import child

LOCUSTFILE = Path(__file__).parent / "locustfile.py"
STOP_SECONDS = 60  # for turns that are running when a stage ends
AUDITORS = 16
SESSION = "s"
FIRST_TURN = {
    "messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
}


@dataclass(frozen=True, slots=True)
class Auditor:
    """Prepares users before the load and reads their transcripts after it, from one instance."""

    http: aiohttp.ClientSession
    address: str
    users: Sequence[str]
    ledger: Ledger = field(default_factory=Ledger)

    async def seed(self, user: str) -> None:
        """Record one turn for a user, so that the next one is warm."""
        self.ledger.sent[user].add("seed")
        answer = await self._send("PUT", user, f"/sessions/{SESSION}/turns/seed", FIRST_TURN)
        self.ledger.answers[user, "seed"].append(Answer(answer["seq"], "Hi"))

    async def read_transcript(self, user: str) -> list[dict[str, Any]]:
        """Return all turns of a user's session."""
        turns: list[dict[str, Any]] = []
        path = f"/sessions/{SESSION}/turns?limit=100"
        while path:
            page = await self._send("GET", user, path)
            turns += page["value"]
            path = page.get("next_link", "").removeprefix("/api")
        return turns

    async def for_each_user(self, work: Callable[[str], Awaitable[None]]) -> None:
        """Do something for every user, sixteen at a time."""
        waiting = iter(self.users)

        async def work_on() -> None:
            for user in waiting:
                await work(user)

        await asyncio.gather(*(work_on() for _ in range(AUDITORS)))

    async def _send(self, method: str, user: str, path: str, body: object = None) -> dict[str, Any]:
        url, headers = f"{self.address}/api{path}", {"x-user-id": user}
        async with self.http.request(
            method, url, json=body, headers=headers, raise_for_status=True
        ) as response:
            answer: dict[str, Any] = await response.json()
            return answer


def main() -> int:
    """Load, measure, audit; return 1 for any finding or error, 2 if locust is missing."""
    arguments = _parse()
    try:
        locust = build_group("locust-venv", "bench") / "locust"
    except CannotBuildError as failed:
        print(f"load: {failed}", file=sys.stderr)
        return 2
    return asyncio.run(_run(locust, arguments))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=20, help="duration of each stage (default: %(default)s)"
    )
    parser.add_argument("--users", type=int, default=1000, help="default: %(default)s")
    parser.add_argument(
        "--clients",
        type=int,
        nargs="+",
        default=[1, 16, 64],
        help="numbers of concurrent callers, one stage each (default: 1 16 64)",
    )
    parser.add_argument(
        "--instances", type=int, default=2, help="of the app (default: %(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="20 users and two short stages, to see that it works"
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.users, arguments.clients = 1.0, 20, [1, 8]
    return arguments


async def _run(locust: Path, arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            running_stack(MODEL_SECONDS, folder) as stack,
            _instances(arguments.instances, stack.settings, folder) as instances,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ):
            users = [f"user-{number}" for number in range(arguments.users)]
            auditor = Auditor(http, next(iter(instances)), users)
            await auditor.for_each_user(auditor.seed)
            print(f"{len(users)} users, {len(instances)} instances", end=", ")
            print(f"model {MODEL_SECONDS * 1000:.0f} ms\n{HEADINGS}")
            load = Load(locust, list(instances), len(users), folder)
            pids = _pids(instances, stack)
            for clients in arguments.clients:
                await _measure(load, clients, arguments.seconds, pids, auditor.ledger)
            return await _audit(auditor)


async def _measure(
    load: "Load", clients: int, seconds: float, pids: Mapping[str, Sequence[int]], ledger: Ledger
) -> None:
    """Run one stage and print its row."""
    before, stage = _cpu(pids), Stage()
    stage.read(await load.run(clients, seconds), ledger)
    used = {name: after - before[name] for name, after in _cpu(pids).items()}
    print_row(clients, stage, used | {"callers": stage.cpu})


@dataclass(frozen=True, slots=True)
class Load:
    """Locust, and the addresses that its callers use."""

    program: Path
    addresses: Sequence[str]
    users: int
    folder: Path

    async def run(self, clients: int, seconds: float) -> Sequence[str]:
        """Run this many callers for this long, in a process of their own; return their notes."""
        ledger, log = self.folder / f"ledger-{clients}.jsonl", self.folder / "locust.log"
        settings = {
            "ADDRESSES": " ".join(self.addresses),
            "USERS": str(self.users),
            "MODEL_SECONDS": str(MODEL_SECONDS),
            "LEDGER": str(ledger),
        }
        options = {
            "--locustfile": LOCUSTFILE,
            "--users": clients,
            "--spawn-rate": clients,
            "--run-time": f"{seconds:g}s",
            "--stop-timeout": STOP_SECONDS,
            "--exit-code-on-error": 0,
        }
        flat = [str(part) for option in options.items() for part in option]
        command = [str(self.program), "--headless", "--only-summary", *flat]
        async with child(*in_environment(settings, *command), log=log, capture=False) as process:
            code = await process.wait()
        assert code == 0, log.read_text()[-2000:]
        return ledger.read_text().splitlines()


@contextlib.asynccontextmanager
async def _instances(
    count: int, settings: Mapping[str, str], folder: Path
) -> AsyncIterator[dict[str, int]]:
    """Run instances of the app; yield their process ids by address."""
    command = (sys.executable, "-m", "devtools.functions", "--port", "0")
    async with contextlib.AsyncExitStack() as running:
        instances = {}
        for number in range(count):
            instance = await running.enter_async_context(
                program(folder / f"app-{number}.log", *command, settings=settings)
            )
            instances[instance.first_line] = instance.pid
        yield instances


def _pids(instances: Mapping[str, int], stack: Stack) -> dict[str, list[int]]:
    return {"app": list(instances.values())} | {name: [pid] for name, pid in stack.pids.items()}


def _cpu(parts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Return the CPU seconds that each part has used so far."""
    return {name: sum(map(cpu_seconds, pids)) for name, pids in parts.items()}


async def _audit(auditor: Auditor) -> int:
    """Compare every transcript with the ledger; return 1 for any finding or error."""
    found: Counter[str] = Counter()
    stored = 0

    async def check(user: str) -> None:
        nonlocal stored
        transcript = await auditor.read_transcript(user)
        stored += len(transcript)
        found.update(auditor.ledger.audit(user, transcript))

    errors = dict(auditor.ledger.errors)
    await auditor.for_each_user(check)
    sent = sum(len(turns) for turns in auditor.ledger.sent.values())
    print(f"audit of {stored} turns of {len(auditor.users)} users ({sent} sent)", end=": ")
    print(", ".join(f"{number} {kind}" for kind, number in found.items()), end="; ")
    print(f"{errors or 'no'} errors")
    return int(bool(errors or found.total() or stored != sent))


if __name__ == "__main__":
    sys.exit(main())
