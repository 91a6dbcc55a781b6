"""The cost of a warm turn, compared with its floor: `python -m bench.turn`.

Whole turns go through the application as ASGI calls, with a model in its own process that answers
at once and whose milliseconds are shown separately. The floor is what no turn can go below: the
same two scripts, two point reads and one batch, on the same servers and through the same SDKs; with
`--recall`, also the vector, the two searches and the neighbours of their results. Short rounds of
both alternate, with all lengths in each round, so ratios hold on a busy machine; milliseconds do
not.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from bench.operations import Operations
from cosmos_local import LocalCosmos
from local.children import child, first_line
from shared.domain.history import MAX_WINDOW_TURNS
from shared.domain.ids import SessionId
from tests.support.app import Keepsake, ModelAt, running
from tests.support.redis_server import RedisServer

CONTAINERS = Path(__file__).parent.parent / "infra" / "containers.json"
LENGTHS, CLIENTS = (10, 100, 1000), (1, 16)
# A search over more turns would measure the local Cosmos DB's brute force.
RECALL_LENGTHS, RECALL_CLIENTS = (10, 100), (1,)
ALTERNATIONS = 2  # of floors and turns, within a round
QUANTILES = (0.5, 0.95, 0.99)
HEADINGS = (
    "clients length |    p50    p95    p99   model    CPU | floor p50    CPU "
    "| p50/floor  without model"
)
Operation = Callable[[SessionId], Awaitable[tuple[float, float]]]


@dataclass(slots=True)
class Sample:
    """Milliseconds of each operation and of the model within it; CPU seconds of all together."""

    times: list[float] = field(default_factory=list)
    models: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    @property
    def cpu(self) -> float:
        """The mean CPU milliseconds of an operation."""
        return self.cpu_seconds * 1000 / len(self.times)

    @property
    def model(self) -> float:
        """The model's median milliseconds."""
        return statistics.median(self.models)

    def quantile(self, share: float) -> float:
        """Return the time that this share of the operations stays below."""
        return sorted(self.times)[min(len(self.times) - 1, int(share * len(self.times)))]

    async def add(self, operation: Operation, sessions: Sequence[SessionId], count: int) -> None:
        """Run an operation this many times in each session, with all sessions concurrently."""

        async def work(session: SessionId) -> list[tuple[float, float]]:
            return [await operation(session) for _ in range(count)]

        start = time.process_time()
        for whole, model in chain.from_iterable(await asyncio.gather(*map(work, sessions))):
            self.times.append(whole)
            self.models.append(model)
        self.cpu_seconds += time.process_time() - start


Round = tuple[Sample, Sample]  # of whole turns, and of the floor


async def measure(
    operations: Operations, clients: int, length: int, number: int, count: int
) -> Round:
    """Measure one round: floors and turns alternate, so that other load affects both.

    Sessions shorter than a full window start over in each round, because they would grow.
    """
    grows = length < MAX_WINDOW_TURNS
    name = f"{clients}-{length}-{number if grows else 0}"
    turn_sessions, floor_sessions = (
        [SessionId(f"{kind}-{name}-{n}") for n in range(clients)] for kind in ("turn", "floor")
    )
    if number == 0 or grows:
        for session in chain(turn_sessions, floor_sessions):
            await operations.seed(session, length)
            await operations.turn(session)
    turns, floors = Sample(), Sample()
    each = max(1, count // ALTERNATIONS // clients)
    for _ in range(ALTERNATIONS):
        await floors.add(operations.floor, floor_sessions, each)
        await turns.add(operations.turn, turn_sessions, each)
    return turns, floors


async def run(operations: Operations, count: int, rounds: int) -> None:
    """Measure and print: figures are medians over the rounds, ratios belong to one round each."""
    recall = operations.embeddings is not None
    lengths, numbers = (RECALL_LENGTHS, RECALL_CLIENTS) if recall else (LENGTHS, CLIENTS)
    print(HEADINGS)
    for clients in numbers:
        measured: dict[int, list[Round]] = {length: [] for length in lengths}
        for number in range(rounds):
            first = number % len(lengths)  # each length takes each place in the order
            for length in lengths[first:] + lengths[:first]:
                measured[length].append(await measure(operations, clients, length, number, count))
        for length in lengths:
            _print_row(clients, length, measured[length])
        _print_growth(clients, measured)


def _print_row(clients: int, length: int, rounds: Sequence[Round]) -> None:
    turns, floors = zip(*rounds, strict=True)
    figures = [statistics.median(turn.quantile(share) for turn in turns) for share in QUANTILES]
    figures += [
        statistics.median(turn.model for turn in turns),
        statistics.median(turn.cpu for turn in turns),
    ]
    floor = statistics.median(floor.quantile(0.5) for floor in floors)
    floor_cpu = statistics.median(floor.cpu for floor in floors)
    ratio = statistics.median(turn.quantile(0.5) / floor.quantile(0.5) for turn, floor in rounds)
    without_model = statistics.median(
        (turn.quantile(0.5) - turn.model) / floor.quantile(0.5) for turn, floor in rounds
    )
    columns = " ".join(f"{figure:6.1f}" for figure in figures)
    print(f"{clients:7} {length:6} | {columns}", end=" | ")
    print(f"{floor:9.1f} {floor_cpu:6.1f} | {ratio:9.2f} {without_model:14.2f}")


def _print_growth(clients: int, measured: dict[int, list[Round]]) -> None:
    """Print the CPU of a turn in the longest sessions against that in the shortest."""
    lengths = list(measured)
    pairs = zip(measured[lengths[-1]], measured[lengths[0]], strict=True)
    ratio = statistics.median(long.cpu / short.cpu for (long, _), (short, _) in pairs)
    print(f"CPU of a turn at {lengths[-1]} turns / at {lengths[0]}, {clients} clients", end=": ")
    print(f"{ratio:.2f} (target 1.10)", flush=True)


@contextlib.asynccontextmanager
async def opened_app(embedding_model: str = "") -> AsyncIterator[Keepsake]:
    """Start the servers and the application; stop them at the end."""
    command = (sys.executable, "-m", "bench.instant_model")
    with (
        contextlib.closing(LocalCosmos.open(None, CONTAINERS)) as cosmos,
        tempfile.TemporaryDirectory() as folder,
        RedisServer() as redis,
    ):
        log = Path(folder) / "model.log"
        async with child(*command, log=log) as process:
            model = ModelAt(await first_line(process, log))
            socket = str(redis.socket)
            async with running(
                cosmos, model, redis_socket=socket, embedding_model=embedding_model
            ) as app:
                yield app


@contextlib.asynccontextmanager
async def _operations(*, recall: bool) -> AsyncIterator[Operations]:
    """The operations to compare, on a running application."""
    async with opened_app("instant" if recall else "") as app:
        clients = (await app.composition.services()).clients
        assert clients.redis
        yield Operations(app.api, clients.containers, clients.redis, clients.embeddings)


async def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--each",
        type=int,
        default=16,
        help="turns per round and length, over all clients (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds", type=int, default=30, help="medians are over these (default: %(default)s)"
    )
    parser.add_argument(
        "--recall", action="store_true", help="measure turns with recall, in one user's sessions"
    )
    arguments = parser.parse_args()
    async with _operations(recall=arguments.recall) as operations:
        await run(operations, arguments.each, arguments.rounds)


if __name__ == "__main__":
    asyncio.run(main())
