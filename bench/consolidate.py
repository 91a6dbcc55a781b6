"""What consolidating costs, and how fast the timer fills the queue: `python -m bench.consolidate`.

Sessions per second at 1, 8 and 32 workers, with a scripted model that answers at once and a local Cosmos DB server,
each in a process of its own; Cosmos DB requests and request units of one consolidation, as the local Cosmos DB
estimates them; and the same for sessions that are ten and a hundred times as old, with as much that is new. Last, many
due sessions in an empty store, the timer's run over them, and what it leaves in Azurite's queue.
"""

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.instant_model import VECTOR
from bench.stack import running_stack
from cosmos_local import LocalCosmos
from local.jobs import LocalQueue
from shared.adapters.cosmos_client import Batch, CosmosContainers
from shared.adapters.cosmos_items import Item, empty_header, turn_item, write_time
from shared.adapters.system_clock import SystemClock
from shared.composition import Composition, Services
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.vectors import make_vector
from shared.metering import start_meter
from shared.ports.jobs import ConsolidationJob
from shared.settings import Settings
from tests.support.app import ModelAt, local_settings
from tests.support.azurite import Azurite, can_run
from tests.support.build import a_message, a_turn

CONTAINERS = Path(__file__).parent.parent / "infra" / "containers.json"
WORKERS = (1, 8, 32)
NEW_TURNS = 10
AGES = (10, 100, 1000)
PER_PARTITION = 1000


def main() -> int:
    """Measure and print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sessions",
        type=int,
        default=320,
        help="for each number of workers (default: %(default)s)",
    )
    parser.add_argument(
        "--due", type=int, default=100_000, help="sessions the timer finds (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="few of everything: does it work?")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sessions, arguments.due = 8, 1500
    asyncio.run(_run(arguments.sessions, arguments.due))
    return 0


async def _run(sessions: int, due: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_stack(0.0, Path(folder)) as stack:
            values: dict[str, Any] = {name.lower(): value for name, value in stack.settings.items()}
            composition = Composition(Settings(**values, container_name=None), jobs=LocalQueue())
            services = await composition.services()
            print(
                f"{'workers':>8} {'sessions/s':>11} {'ms each':>8}   ({NEW_TURNS} new turns each)"
            )
            for workers in WORKERS:
                await _print_speed(services, workers, sessions)
            print(
                f"\n{'turns':>8} {'new':>5} {'requests':>9} {'request units':>14} {'model calls':>12}"
            )
            for age in AGES:
                await _print_cost(services, age)
            await composition.close()
    if can_run():
        await _print_timer(due)
    else:
        print(
            "\nSKIPPED: no Azurite here (make test installs it where npm is), so the timer was not measured"
        )


async def _print_speed(services: Services, workers: int, sessions: int) -> None:
    """So many workers at as many sessions of as many users."""
    jobs = [await _seed(services, UserId(f"w{workers}-{n}"), NEW_TURNS) for n in range(sessions)]
    waiting, times = iter(jobs), []

    async def work() -> None:
        for job in waiting:
            began = time.perf_counter()
            await services.consolidation.run(job)
            times.append((time.perf_counter() - began) * 1000)

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(workers)))
    took = time.perf_counter() - start
    print(f"{workers:8} {sessions / took:11.1f} {statistics.median(times):8.1f}", flush=True)


async def _print_cost(services: Services, age: int) -> None:
    """One consolidation of a session of so many turns, of which the last ten are new."""
    costs = []
    for n in range(5):
        job = await _seed(services, UserId(f"a{age}-{n}"), age)
        meter = start_meter()
        await services.consolidation.run(job)
        costs.append((meter.cosmos_calls, meter.request_units, meter.model_calls))
    calls, units, asked = (statistics.median(column) for column in zip(*costs, strict=True))
    print(f"{age:8} {NEW_TURNS:5} {calls:9.0f} {units:14.1f} {asked:12.0f}", flush=True)


async def _seed(services: Services, user: UserId, length: int) -> ConsolidationJob:
    """A session of so many turns, all but the last ten consolidated, as if they had been said, with their vectors."""
    containers = services.clients.containers
    now, gen, session = SystemClock().now(), Gen(uuid4().hex), SessionId("s")
    expires_at = now + timedelta(days=1)
    header = empty_header(user, session, gen, 0, None, now) | {
        "turn_count": length,
        "consolidated_seq": length - NEW_TURNS,
        "due_at": write_time(now),
        "expires_at": write_time(expires_at),
        "ttl": 86_400,
    }
    turns = [
        a_turn(
            n,
            session_id=session,
            gen=gen,
            created_at=now,
            expires_at=expires_at,
            messages=(
                a_message(f"My number is {n}. " + "word " * 60),
                a_message("Noted. " * 60, role="assistant"),
            ),
        )
        for n in range(1, length + 1)
    ]
    model = services.clients.embeddings
    vector = make_vector(model.model, VECTOR) if model else None
    items = [header, *(turn_item(user, turn, vector) for turn in turns)]
    operations: Batch = [("create", (item,), {}) for item in items]
    for start in range(0, len(operations), 100):
        await containers.write_batch("memory", user, operations[start : start + 100])
    return ConsolidationJob(user, session)


async def _print_timer(due: int) -> None:
    """So many due sessions, the timer's run over them, and its memory."""
    cosmos = LocalCosmos.open(None, CONTAINERS)
    with Azurite() as azurite:
        queue = {"queue_endpoint": azurite.endpoint, "queue_key": azurite.settings["QUEUE_KEY"]}
        settings = local_settings(ModelAt("http://127.0.0.1:9/v1"), **queue)
        composition = Composition(settings, cosmos_transport=cosmos.transport())
        services = await composition.services()
        containers = services.clients.containers
        for number in range(0, due, PER_PARTITION):
            await _write(containers, UserId(f"user-{number}"), min(PER_PARTITION, due - number))
        before, start = _peak_mb(), time.perf_counter()
        queued = await services.idle_sessions.queue_due()
        took = time.perf_counter() - start
        with azurite.queue("consolidate-session") as there:
            waiting = there.get_queue_properties().approximate_message_count
        print(
            f"\n{due} due sessions: {queued} queued in {took:.0f} s ({queued / took:.0f}/s), {waiting} wait there, "
            f"{_peak_mb() - before:.0f} MB more memory"
        )
        await composition.close()
    cosmos.close()


async def _write(containers: CosmosContainers, user: UserId, count: int) -> None:
    long_ago = SystemClock().now() - timedelta(hours=1)
    rest = {"turn_count": 1, "due_at": write_time(long_ago), "ttl": 86_400}
    headers: Sequence[Item] = [
        empty_header(user, SessionId(f"s{n}"), Gen(f"{n:032x}"), 0, None, long_ago) | rest
        for n in range(count)
    ]
    for start in range(0, count, 100):
        await containers.write_batch(
            "memory", user, [("create", (one,), {}) for one in headers[start : start + 100]]
        )


def _peak_mb() -> float:
    """The most memory this process has had; the local Cosmos DB is in it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
