"""Many callers at once, then an audit of every transcript: `python -m bench.load`.

Callers talk HTTP to several app instances, each the real worker library in a process of its own, on one local Cosmos
DB, one Redis and a model that takes 300 ms, all in processes of their own, all on this machine. A caller asks, waits
for the answer and asks again, so the most there can be is callers / 0.3 turns a second. One turn in five is the hot
user's, in one session; one turn in twenty is sent twice, to two instances. The callers are locust's
(bench/locustfile.py), in a process and an environment of their own; they write down what each of them was told.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench.environment import CannotBuildError, build_environment
from bench.ledger import Ledger, Told, quantile
from bench.stack import cpu_seconds, in_environment, program, running_stack
from local.children import child

MODEL_SECONDS = 0.3
LOCUSTFILE = Path(__file__).parent / "locustfile.py"
STOP_SECONDS = 60  # for turns under way when the time is over
SESSION = "s"
SEEDED = {
    "messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
}
DEGRADED = ("window", "session_cache")  # the window missed turns of others; Redis did not answer


@dataclass(slots=True)
class Stage:
    """What came of so many callers for so long, but for what everybody was told, which is the ledger's."""

    times: dict[bool, list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )  # by whether it was the hot user's
    usage: list[Mapping[str, float]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    begun: float = float("inf")
    ended: float = 0.0
    cpu: float = 0.0

    def read(self, lines: Iterable[str], ledger: Ledger) -> None:
        """Take over what locust's callers noted."""
        for line in lines:
            noted = json.loads(line)
            match noted["what"]:
                case "sent":
                    ledger.sent[noted["user"]].add(noted["turn"])
                case "told":
                    answer = noted["answer"]
                    ledger.told[noted["user"], noted["turn"]].append(
                        Told(answer["seq"], answer["reply"])
                    )
                    self._count(answer)
                case "asked":
                    self._time(noted)
                case "error":
                    ledger.errors[noted["kind"]] += 1
                case "cpu":
                    self.cpu += noted["seconds"]

    def _count(self, answer: Mapping[str, Any]) -> None:
        self.counts.update(replayed=answer["replayed"])
        self.counts.update(answer["degraded"])
        if not answer["replayed"] and not answer["degraded"]:
            self.usage.append(answer["usage"])

    def _time(self, asked: Mapping[str, Any]) -> None:
        self.counts["turns"] += 1
        self.begun, self.ended = min(self.begun, asked["start"]), max(self.ended, asked["end"])
        if not asked["twice"]:
            self.times[asked["hot"]].append((asked["end"] - asked["start"]) * 1000)


class Auditor:
    """Prepares users before the load and reads their transcripts after it; asks quietly, and is no part of it."""

    def __init__(self, http: aiohttp.ClientSession, address: str, users: int) -> None:
        """Ask this instance, for so many users."""
        self._http = http
        self._address = address
        self.users = [f"user-{number}" for number in range(users)]
        self.ledger = Ledger()

    async def seed(self, user: str) -> None:
        """Give a user a session with one turn, so that the next is warm."""
        self.ledger.sent[user].add("seed")
        answer = await self._send("PUT", user, f"/sessions/{SESSION}/turns/seed", SEEDED)
        self.ledger.told[user, "seed"].append(Told(answer["seq"], "Hi"))

    async def transcript(self, user: str) -> list[dict[str, Any]]:
        """All turns of a user's session."""
        turns: list[dict[str, Any]] = []
        path = f"/sessions/{SESSION}/turns?limit=100"
        while path:
            page = await self._send("GET", user, path)
            turns += page["value"]
            path = page.get("next_link", "").removeprefix("/api")
        return turns

    async def _send(self, method: str, user: str, path: str, body: object = None) -> dict[str, Any]:
        url, headers = f"{self._address}/api{path}", {"x-user-id": user}
        async with self._http.request(
            method, url, json=body, headers=headers, raise_for_status=True
        ) as response:
            answer: dict[str, Any] = await response.json()
            return answer


def main() -> int:
    """Load, measure, audit; 1 if the audit finds anything or anybody met an error, 2 if there is no locust."""
    arguments = _parse()
    try:
        locust = (
            build_environment("locust-venv", sys.executable, {"requirements-bench.txt": ()})
            / "locust"
        )
    except CannotBuildError as failed:
        print(f"load: {failed}", file=sys.stderr)
        return 2
    return asyncio.run(_run(locust, arguments))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=20, help="of each stage (default: %(default)s)"
    )
    parser.add_argument("--users", type=int, default=1000, help="default: %(default)s")
    parser.add_argument(
        "--clients",
        type=int,
        nargs="+",
        default=[1, 16, 64],
        help="callers at once, one stage each",
    )
    parser.add_argument(
        "--instances", type=int, default=2, help="of the app (default: %(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="20 users, two short stages: does it work?"
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.users, arguments.clients = 1.0, 20, [1, 8]
    return arguments


async def _run(locust: Path, arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as name:
        async with (
            running_stack(MODEL_SECONDS, Path(name)) as stack,
            _instances(arguments.instances, stack.settings, Path(name)) as instances,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ):
            auditor = Auditor(http, next(iter(instances)), arguments.users)
            await _each(auditor.users, auditor.seed)
            print(
                f"{arguments.users} users, {arguments.instances} instances, model {MODEL_SECONDS * 1000:.0f} ms"
            )
            print(
                "clients  turns/s  of most     p50     p99 | hot p50     p99 | cores | CPU ms a turn"
            )
            parts = {"app": list(instances.values())} | {
                name: [pid] for name, pid in stack.parts.items()
            }
            load = Load(locust, list(instances), arguments.users, Path(name))
            for clients in arguments.clients:
                before, stage = _cpu(parts), Stage()
                stage.read(await load.run(clients, arguments.seconds), auditor.ledger)
                spent = {name: after - before[name] for name, after in _cpu(parts).items()}
                _print_stage(clients, stage, spent | {"callers": stage.cpu})
            return await _audit(auditor)


@dataclass(frozen=True, slots=True)
class Load:
    """Locust, and where it is to call."""

    program: Path
    addresses: Sequence[str]
    users: int
    folder: Path

    async def run(self, clients: int, seconds: float) -> Sequence[str]:
        """So many callers for so long, in a process of their own; what they noted."""
        ledger, log = self.folder / f"ledger-{clients}.jsonl", self.folder / "locust.log"
        settings = {
            "ADDRESSES": " ".join(self.addresses),
            "USERS": str(self.users),
            "MODEL_SECONDS": str(MODEL_SECONDS),
            "LEDGER": str(ledger),
        }
        command = [
            str(self.program),
            "--locustfile",
            str(LOCUSTFILE),
            "--headless",
            "--only-summary",
        ]
        command += [
            "--users",
            str(clients),
            "--spawn-rate",
            str(clients),
            "--run-time",
            f"{seconds:g}s",
        ]
        command += ["--stop-timeout", str(STOP_SECONDS), "--exit-code-on-error", "0"]
        async with child(*in_environment(settings, *command), log=log, speaks=False) as process:
            code = await process.wait()
        assert code == 0, log.read_text()[-2000:]
        return ledger.read_text().splitlines()


@contextlib.asynccontextmanager
async def _instances(
    count: int, settings: Mapping[str, str], folder: Path
) -> AsyncIterator[dict[str, int]]:
    """The app so many times: addresses and processes."""
    async with contextlib.AsyncExitStack() as running:
        found = {}
        for number in range(count):
            command = (sys.executable, "-m", "devtools.functions", "--port", "0")
            one = await running.enter_async_context(
                program(folder / f"app-{number}.log", *command, settings=settings)
            )
            found[one.says] = one.pid
        yield found


def _print_stage(clients: int, stage: Stage, spent: Mapping[str, float]) -> None:
    """One row of the table."""
    took, turns = stage.ended - stage.begun, stage.counts["turns"]
    busy = sum(spent.values()) / took / (os.cpu_count() or 1)
    shown = [quantile(stage.times[hot], share) for hot in (False, True) for share in (0.5, 0.99)]
    print(
        f"{clients:7} {turns / took:8.1f} {turns / took * MODEL_SECONDS / clients:8.2f} {shown[0]:7.0f} {shown[1]:7.0f}"
        f" | {shown[2]:7.0f} {shown[3]:7.0f} | {busy:5.0%} | "
        + ", ".join(f"{name} {seconds * 1000 / turns:.1f}" for name, seconds in spent.items())
    )
    print(f"        {_used(stage)}", flush=True)


def _cpu(parts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """CPU seconds of every part so far."""
    return {name: sum(map(cpu_seconds, pids)) for name, pids in parts.items()}


def _used(stage: Stage) -> str:
    """What a turn took of the stores, in the middle, and what else happened."""
    names = ("request_units", "cosmos_calls", "redis_calls")
    used = ", ".join(
        f"{statistics.median(one[name] for one in stage.usage):g} {name}" for name in names
    )
    otherwise = ", ".join(f"{stage.counts[name]} {name}" for name in ("replayed", *DEGRADED))
    return f"a turn: {used}; {otherwise}"


async def _audit(auditor: Auditor) -> int:
    """Read every transcript, and compare it with what its user was told."""
    found: Counter[str] = Counter()
    stored = 0

    async def check(user: str) -> None:
        nonlocal stored
        transcript = await auditor.transcript(user)
        stored += len(transcript)
        found.update(auditor.ledger.audit(user, transcript))

    errors = dict(auditor.ledger.errors)
    await _each(auditor.users, check)
    kinds = ", ".join(f"{number} {kind}" for kind, number in found.items())
    sent = sum(len(turns) for turns in auditor.ledger.sent.values())
    print(
        f"audit of {stored} turns of {len(auditor.users)} users ({sent} sent): {kinds}; {errors or 'no'} errors"
    )
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
