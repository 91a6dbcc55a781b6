"""What an answer costs, measured side by side in one run.

The figures are medians and ratios, so that a busy machine says the same.

python packages/cosmos-local/bench/costs.py [--vectors 10000] [--file]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from azure.core.pipeline.transport import AsyncHttpResponse, HttpRequest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos
from cosmos_local.transport import InProcessTransport

DECLARATION = Path(__file__).parents[1] / "tests" / "containers.json"
DIMENSIONS = 512
ROUNDS = 300


class Recorded(InProcessTransport):
    """Answers every request with the answer of the first: what is left is the SDK's own share."""

    first: AsyncHttpResponse | None = None

    async def send(self, request: HttpRequest, **kwargs: Any) -> AsyncHttpResponse:
        """Answer from memory once a point read was answered."""
        if self.first is not None:
            await asyncio.sleep(0)
            return self.first
        answer = await super().send(request, **kwargs)
        if request.method == "GET" and "/docs/" in request.url:
            self.first = answer
        return answer


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=10_000)
    parser.add_argument("--file", action="store_true", help="a database file instead of memory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cosmos = LocalCosmos.open(Path(folder) / "cosmos.db" if options.file else None, DECLARATION)
        print(
            f"database               {'file' if options.file else 'memory'}, "
            f"Python {sys.version.split()[0]}"
        )
        await point_reads(cosmos)
        await partition_queries(cosmos)
        await vector_queries(cosmos, options.vectors)
        cosmos.close()
    imports()


async def point_reads(cosmos: LocalCosmos) -> None:
    """Compare a point read with the SDK's own share of it, in turns."""
    real, alone = connect(cosmos.transport()), connect(Recorded(cosmos.front))
    await container(real).create_item({"id": "1", "user_id": "a", "text": "x" * 400})
    reads = [timer(partial(container(client).read_item, "1", "a")) for client in (real, alone)]
    whole, share = await in_turns(reads, ROUNDS)
    print(
        f"point read             {whole:.3f} ms; the SDK alone {share:.3f} ms; "
        f"ratio {whole / share:.2f} (<= 2)"
    )
    await real.close()
    await alone.close()


async def partition_queries(cosmos: LocalCosmos) -> None:
    """Compare a query in one partition before and after ten times as many other users arrive."""
    client = connect(cosmos.transport())
    memory = container(client)
    await fill(memory, "user-0", 200)
    kept = "c.user_id = 'user-0' AND c.kind = 'turn'"
    query = f"SELECT TOP 20 c.id, c.seq FROM c WHERE {kept} ORDER BY c.seq DESC"  # noqa: S608

    async def ask() -> None:
        _ = [item async for item in memory.query_items(query, partition_key="user-0")]

    (before,) = await in_turns([timer(ask)], 30)
    for number in range(1, 11):
        await fill(memory, f"user-{number}", 200)
    counted = cosmos.storage.rows_read
    await ask()
    rows = cosmos.storage.rows_read - counted
    (after,) = await in_turns([timer(ask)], 30)
    print(
        f"query, 20 newest of 200 {before:.2f} ms; beside 2,000 rows of others {after:.2f} ms; "
        f"rows read {rows}"
    )
    await client.close()


async def vector_queries(cosmos: LocalCosmos, count: int) -> None:
    """Compare a vector query with the bare matrix product under it."""
    client = connect(cosmos.transport())
    memory = container(client)
    rng = random.Random(7)  # noqa: S311 - made-up vectors, the same each time
    for start in range(0, count, 50):
        batch: list[Any] = [
            (
                "create",
                ({"id": f"v{start + number}", "user_id": "vectors", "embedding": a_vector(rng)},),
            )
            for number in range(50)
        ]
        await memory.execute_item_batch(batch, "vectors")
    query = "SELECT TOP 10 c.id FROM c ORDER BY VectorDistance(c.embedding, @v)"
    wanted = a_vector(rng)

    async def ask() -> None:
        parameters: list[dict[str, object]] = [{"name": "@v", "value": wanted}]
        _ = [
            item
            async for item in memory.query_items(
                query, parameters=parameters, partition_key="vectors"
            )
        ]

    (first,) = await in_turns([timer(ask)], 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory with vectors    {resident():.0f} MB resident, {peak:.0f} MB at most (<= 150)")
    import numpy as np  # noqa: PLC0415 - after the first vector query, as in the product

    matrix = np.ones((count, DIMENSIONS), dtype=np.float32)
    vector = np.asarray(wanted, dtype=np.float32)

    async def product() -> None:
        np.matmul(matrix, vector)

    whole, bare = await in_turns([timer(ask), timer(product)], 10)
    print(
        f"vectors {count} x {DIMENSIONS}    first {first:.0f} ms, then {whole:.1f} ms; "
        f"the product alone {bare:.2f} ms"
    )
    await client.close()


def imports() -> None:
    """Time what lark costs, in processes of their own."""
    programs = {
        "import lark": ("", "import lark"),
        "first query parsed": (
            "from cosmos_local.parser import parse_query",
            "parse_query('SELECT * FROM c')",
        ),
    }
    for name, (before, what) in programs.items():
        program = (
            f"{before}\nimport time\nt = time.process_time(); {what}; "
            "print((time.process_time() - t) * 1000)"
        )
        command = [sys.executable, "-c", program]
        times = [
            float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(5)
        ]
        print(f"{name:22} {statistics.median(times):.0f} ms CPU")


def connect(transport: InProcessTransport) -> CosmosClient:
    """Connect the SDK to a transport."""
    return CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=transport)


def container(client: CosmosClient) -> ContainerProxy:
    """Return the container everything happens in."""
    return client.get_database_client("agent-memory").get_container_client("memory")


async def fill(memory: ContainerProxy, user: str, count: int) -> None:
    """Store turns."""
    for start in range(0, count, 100):
        operations: list[Any] = [
            (
                "create",
                (
                    {
                        "id": f"t{start + n}",
                        "user_id": user,
                        "kind": "turn",
                        "seq": start + n,
                        "text": "x" * 300,
                    },
                ),
            )
            for n in range(100)
        ]
        await memory.execute_item_batch(operations, user)


def a_vector(rng: random.Random) -> list[float]:
    """Make a vector as the product stores it, with six decimals."""
    return json.loads(json.dumps([round(rng.gauss(0, 0.05), 6) for _ in range(DIMENSIONS)]))  # type: ignore[no-any-return]


def timer(call: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[float]]:
    """Return a call that says how many milliseconds it took."""

    async def timed() -> float:
        start = time.perf_counter()
        await call()
        return (time.perf_counter() - start) * 1000

    return timed


async def in_turns(calls: list[Callable[[], Awaitable[float]]], rounds: int) -> list[float]:
    """Run calls by turns and return the median of each."""
    if rounds > 1:
        for call in calls:
            await call()
    times = [[await call() for call in calls] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def resident() -> float:
    """Return the megabytes this process holds now (Linux)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    asyncio.run(main())
