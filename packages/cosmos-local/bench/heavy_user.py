"""One user with 100,000 turns beside others: what a recall costs, and what the others notice.

Times are medians, and ratios of two measured in turns, so that a busy machine says the same.

    python packages/cosmos-local/bench/heavy_user.py [--turns 100000] [--file heavy.sqlite]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from azure.cosmos.aio import ContainerProxy, CosmosClient

from cosmos_local import LOCAL_KEY, LocalCosmos
from cosmos_local.items import Items

DECLARATION = Path(__file__).parents[1] / "tests" / "containers.json"
DIMENSIONS = 512
VOCABULARY = 5000
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprstvz" for b in ("ar", "el", "im", "on", "ud", "ib", "ac")
         for c in [f"{d}{e}" for d in "lmnrstbdk" for e in "aeiou"]][:VOCABULARY]  # fmt: skip
NEWEST = """
SELECT TOP 20 c.id, c.seq FROM c
WHERE c.user_id = @u AND c.kind = 'turn' AND c.session_id = 's1' ORDER BY c.seq DESC
"""
SESSIONS = """
SELECT TOP 20 * FROM c WHERE c.user_id = @u AND c.kind = 'session'
ORDER BY c.last_active_at DESC, c.id DESC
"""
COUNT = "SELECT VALUE COUNT(1) FROM c WHERE c.user_id = @u AND c.kind = 'turn'"
BY_MEANING = """
SELECT TOP 40 c.id, VectorDistance(c.embedding, @v) AS score FROM c
WHERE c.user_id = @u AND c.kind = 'turn' ORDER BY VectorDistance(c.embedding, @v)
"""
BY_WORDS = """
SELECT TOP 40 c.id FROM c
WHERE c.user_id = @u AND c.kind = 'turn' AND FullTextContainsAny(c.text, 'barl', 'selm')
ORDER BY RANK FullTextScore(c.text, 'barl', 'selm')
"""


def main() -> None:
    """Fill a file if it is not there yet, and print what it costs to use."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=100_000)
    parser.add_argument("--file", type=Path, help="kept for the next time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "heavy.sqlite"
        if not path.exists():
            fill(path, options.turns)
        print(f"{path.stat().st_size / 2**20:,.0f} MB, {options.turns:,} turns of one user")
        asyncio.run(measure(path))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest resident set of the server: {peak:.0f} MB (<= 400)")


def fill(path: Path, turns: int) -> None:
    """Store the turns of a heavy user, a thousand of a middling one, and twenty of a light one."""
    cosmos = LocalCosmos.open(path, DECLARATION)
    items = Items(
        cosmos.catalogue.container("agent-memory", "memory"), cosmos.storage, cosmos.clock
    )
    for user, count in (("heavy", turns), ("middling", 1000), ("light", 20)):
        for start in range(0, count, 1000):
            with cosmos.storage.transaction():
                for number in range(start, min(start + 1000, count)):
                    items.create([user], a_turn(user, number))
                if start % 10_000 == 0:
                    items.create([user], a_session(user, start))
    cosmos.close()


def a_vector(seed: str) -> list[float]:
    """Return a vector of six decimals, as the embedders of small stores write them."""
    chance = random.Random(seed)  # noqa: S311 - test data
    return [round(chance.uniform(-1, 1), 6) for _ in range(DIMENSIONS)]


def a_turn(user: str, number: int) -> dict[str, Any]:
    """Return a turn of about forty words."""
    chance = random.Random(f"{user}{number}")  # noqa: S311 - test data
    return {
        "id": f"t:{number:06}", "user_id": user, "kind": "turn", "session_id": f"s{number % 50}",
        "seq": number, "text": " ".join(chance.choices(WORDS, k=40)),
        "embedding": a_vector(f"{user}{number}"), "ttl": 10**8,
    }  # fmt: skip


def a_session(user: str, number: int) -> dict[str, Any]:
    """Return a session."""
    moment = f"2026-11-{1 + number // 10_000:02}"
    return {"id": f"s:{number}", "user_id": user, "kind": "session", "last_active_at": moment}


async def measure(path: Path) -> None:
    """Start the program on the file, and ask."""
    await start_times(path)
    async with served(path) as (url, memory):
        for name, query in {"meaning": BY_MEANING, "words": BY_WORDS}.items():
            first = await once(memory, query, "heavy")
            later = [await once(memory, query, "heavy") for _ in range(5)]
            small = [await once(memory, query, "middling") for _ in range(5)]
            print(
                f"recall by {name:8}  first after a start {first * 1000:7.0f} ms (< 2,000), "
                f"then {statistics.median(later) * 1000:6.1f} ms (<= 100); "
                f"of 1,000 turns {statistics.median(small) * 1000:5.1f} ms (<= 15)"
            )
        for name, query in {"newest 20": NEWEST, "sessions": SESSIONS, "count": COUNT}.items():
            await once(memory, query, "heavy")
            heavy, light = await in_turns(memory, query, ("heavy", "light"))
            print(f"{name:12} {heavy * 1000:6.1f} ms; of a light user {light * 1000:6.1f} ms")
        alone, beside = await beside_recalls(memory)
        print(
            f"a light user's turn {alone * 1000:.1f} ms; while the heavy user recalls "
            f"{beside * 1000:.1f} ms; ratio {beside / alone:.2f} (<= 1.2)"
        )
    async with served(path) as (url, memory):
        alone = statistics.median([await turn(memory, number) for number in range(21)])
        recall = asyncio.create_task(once(memory, BY_MEANING, "heavy"))
        during: list[float] = []
        while not recall.done():
            during.append(await turn(memory, len(during) + 100))
        print(
            f"during the first recall after a start: a light user's turn "
            f"{statistics.median(during) * 1000:.1f} ms, alone {alone * 1000:.1f} ms ({url})"
        )


async def start_times(path: Path) -> None:
    """Print how long it takes until the port is open."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        async with served(path):
            times.append(time.perf_counter() - start)
    print(f"the port opens after {statistics.median(times):.2f} s (< 1)")


class served:  # noqa: N801 - used as a function
    """The program on a file, and a client of it."""

    def __init__(self, path: Path) -> None:
        """Serve a file over http."""
        self._arguments = ["--http", "--port", "0", "--data", str(path)]

    async def __aenter__(self) -> tuple[str, ContainerProxy]:
        """Start the program and connect."""
        command = [sys.executable, "-m", "cosmos_local", *self._arguments]
        command += ["--declaration", str(DECLARATION)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
        assert self._process.stdout is not None
        url = self._process.stdout.readline().split()[0]
        self._client = CosmosClient(url, LOCAL_KEY)
        container = self._client.get_database_client("agent-memory").get_container_client("memory")
        return url, container

    async def __aexit__(self, *_: object) -> None:
        """Disconnect and end the program."""
        await self._client.close()
        self._process.terminate()
        self._process.wait()


async def once(memory: ContainerProxy, query: str, user: str) -> float:
    """Run a query of one user and return its seconds."""
    vector = a_vector("question")
    parameters: list[dict[str, object]] = [
        {"name": "@u", "value": user}, {"name": "@v", "value": vector},
    ]  # fmt: skip
    given = parameters if "@v" in query else parameters[:1]
    start = time.perf_counter()
    _ = [item async for item in memory.query_items(query, parameters=given, partition_key=user)]
    return time.perf_counter() - start


async def in_turns(
    memory: ContainerProxy, query: str, users: tuple[str, str]
) -> tuple[float, float]:
    """Return the median seconds of a query of two users, asked in turns."""
    times: dict[str, list[float]] = {user: [] for user in users}
    for _ in range(15):
        for user in users:
            times[user].append(await once(memory, query, user))
    return statistics.median(times[users[0]]), statistics.median(times[users[1]])


async def turn(memory: ContainerProxy, number: int) -> float:
    """Take a turn of the light user: a batch, a read, the newest turns, a recall."""
    start = time.perf_counter()
    item = {"id": f"new:{number}", "user_id": "light", "kind": "turn", "session_id": "s1"}
    await memory.upsert_item(
        item | {"seq": number, "text": "barl selm", "embedding": a_vector("n")}
    )
    await memory.read_item(f"new:{number}", "light")
    await once(memory, NEWEST, "light")
    await once(memory, BY_MEANING, "light")
    return time.perf_counter() - start


async def beside_recalls(memory: ContainerProxy) -> tuple[float, float]:
    """Return the median seconds of a light user's turn alone, and beside a heavy user's recalls."""

    async def recalls(stop: asyncio.Event) -> None:
        while not stop.is_set():
            await once(memory, BY_MEANING, "heavy")
            await asyncio.sleep(0.2)

    alone = await medians(lambda number: turn(memory, number))
    stop = asyncio.Event()
    task = asyncio.create_task(recalls(stop))
    beside = await medians(lambda number: turn(memory, number + 50))
    stop.set()
    await task
    return alone, beside


async def medians(take: Callable[[int], Awaitable[float]]) -> float:
    """Return the median of three medians of seven."""
    return statistics.median(
        [statistics.median([await take(number) for number in range(7)]) for _ in range(3)]
    )


if __name__ == "__main__":
    main()
