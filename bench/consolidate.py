"""The cost of consolidation, and how fast the timer fills the queue: `python -m bench.consolidate`.

Prints sessions per second with 1, 8 and 32 workers; the requests to Cosmos DB and the request units
(as the local Cosmos DB estimates them) of one consolidation, for sessions of increasing age with as
much that is new; and one timer run over many due sessions, which fills Azurite's queue. The model
answers at once; model and local Cosmos DB are processes of their own, except for the timer's run.
"""

import argparse
import asyncio
import contextlib
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
from shared.adapters.cosmos.containers import Batch, CosmosContainers
from shared.adapters.cosmos.items import Item, empty_header, turn_item
from shared.adapters.cosmos.times import write_time
from shared.adapters.system_clock import SystemClock
from shared.bootstrap.composition import Composition
from shared.bootstrap.services import Services
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.vectors import make_vector
from shared.ports.jobs import ConsolidationJob
from shared.settings import Settings
from shared.telemetry.meter import start_meter
from tests.support.app import ModelAt, local_settings
from tests.support.azurite import Azurite, can_run
from tests.support.build import a_message, a_turn

CONTAINERS = Path(__file__).parent.parent / "infra" / "containers.json"
WORKERS = (1, 8, 32)
NEW_TURNS = 10
AGES = (10, 100, 1000)
REPEATS = 5
PER_PARTITION = 1000
MAX_BATCH = 100  # operations of a Cosmos DB batch


def main() -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sessions",
        type=int,
        default=320,
        help="sessions per number of workers (default: %(default)s)",
    )
    parser.add_argument(
        "--due", type=int, default=100_000, help="due sessions (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="few of each, to see that it works")
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
            await _print_tables(await composition.services(), sessions)
            await composition.close()
    if can_run():
        await _print_timer(due)
    else:
        print("\nSKIPPED: the timer was not measured; `make test` installs Azurite if npm is there")


async def _print_tables(services: Services, sessions: int) -> None:
    print(f"{'workers':>8} {'sessions/s':>11} {'ms each':>8}   ({NEW_TURNS} new turns each)")
    for workers in WORKERS:
        await _print_speed(services, workers, sessions)
    print(f"\n{'turns':>8} {'new':>5} {'requests':>9} {'request units':>14} {'model calls':>12}")
    for age in AGES:
        await _print_cost(services, age)


async def _print_speed(services: Services, workers: int, sessions: int) -> None:
    """Consolidate sessions of as many users with this many concurrent workers."""
    jobs = [await _seed(services, UserId(f"w{workers}-{n}"), NEW_TURNS) for n in range(sessions)]
    waiting, times = iter(jobs), []

    async def work() -> None:
        for job in waiting:
            start = time.perf_counter()
            await services.consolidation.run(job)
            times.append((time.perf_counter() - start) * 1000)

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(workers)))
    took = time.perf_counter() - start
    print(f"{workers:8} {sessions / took:11.1f} {statistics.median(times):8.1f}", flush=True)


async def _print_cost(services: Services, length: int) -> None:
    """Consolidate sessions of this many turns, of which the last ten are new; print the median."""
    costs = []
    for n in range(REPEATS):
        job = await _seed(services, UserId(f"a{length}-{n}"), length)
        meter = start_meter()
        await services.consolidation.run(job)
        costs.append((meter.cosmos_calls, meter.spent.request_units, meter.spent.model_calls))
    requests, units, calls = (statistics.median(column) for column in zip(*costs, strict=True))
    print(f"{length:8} {NEW_TURNS:5} {requests:9.0f} {units:14.1f} {calls:12.0f}", flush=True)


async def _seed(services: Services, user: UserId, length: int) -> ConsolidationJob:
    """Write a session of this many turns with vectors, all but the last ten consolidated."""
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
    await _create(services.clients.containers, user, items)
    return ConsolidationJob(user, session)


async def _print_timer(due: int) -> None:
    """Run the timer over this many due sessions; print how long it took, and its memory."""
    with (
        contextlib.closing(LocalCosmos.open(None, CONTAINERS)) as cosmos,
        Azurite() as azurite,
    ):
        queue = {"queue_endpoint": azurite.endpoint, "queue_key": azurite.settings["QUEUE_KEY"]}
        settings = local_settings(ModelAt("http://127.0.0.1:9/v1"), **queue)
        composition = Composition(settings, cosmos_transport=cosmos.transport())
        services = await composition.services()
        for number in range(0, due, PER_PARTITION):
            count = min(PER_PARTITION, due - number)
            await _seed_due(services.clients.containers, UserId(f"user-{number}"), count)
        before, start = _peak_mb(), time.perf_counter()
        queued = await services.schedule.queue_due()
        took = time.perf_counter() - start
        with azurite.queue("consolidate-session") as client:
            waiting = client.get_queue_properties().approximate_message_count
        print(f"\n{due} due sessions: {queued} queued in {took:.0f} s", end=" ")
        print(f"({queued / took:.0f}/s), {waiting} on the queue", end=", ")
        print(f"{_peak_mb() - before:.0f} MB more memory")
        await composition.close()


async def _seed_due(containers: CosmosContainers, user: UserId, count: int) -> None:
    """Write the headers of this many due sessions of a user."""
    idle_since = SystemClock().now() - timedelta(hours=1)
    fields = {"turn_count": 1, "due_at": write_time(idle_since), "ttl": 86_400}
    headers = [
        empty_header(user, SessionId(f"s{n}"), Gen(f"{n:032x}"), 0, None, idle_since) | fields
        for n in range(count)
    ]
    await _create(containers, user, headers)


async def _create(containers: CosmosContainers, user: UserId, items: Sequence[Item]) -> None:
    for start in range(0, len(items), MAX_BATCH):
        batch: Batch = [("create", (item,), {}) for item in items[start : start + MAX_BATCH]]
        await containers.write_batch("memory", user, batch)


def _peak_mb() -> float:
    """Return this process's peak memory, which includes the local Cosmos DB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
