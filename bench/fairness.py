"""How much one user's flood slows down another user: `python -m bench.fairness`.

One user takes turns one after the other, first alone and then beside a flood: turns that another
user sends at once. Both happen in one process, on the same servers, and several times in turn, so
the ratio of the two 95th percentiles holds on a busy machine.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from uuid import uuid4

from bench.turn import opened_app
from tests.support.app import Keepsake

FLOOD, OTHER = "flood", "other"
WARM_UP = 5  # turns


async def take(app: Keepsake, user: str, session: str) -> float:
    """Take a turn; return its milliseconds."""
    start = time.perf_counter()
    answer = await app.chat("Hello there", user=user, session_id=session)
    answer.raise_for_status()
    return (time.perf_counter() - start) * 1000


async def take_some(
    app: Keepsake, count: int, until: asyncio.Future[list[float]] | None
) -> list[float]:
    """Take turns one after the other, at most `count`, or until something else is done."""
    session, times = uuid4().hex, list[float]()
    while len(times) < count and not (until and until.done()):
        times.append(await take(app, OTHER, session))
    return times


async def measure(app: Keepsake, size: int, count: int) -> tuple[list[float], list[float], float]:
    """The other user's times alone and beside a flood, and the seconds that the flood took."""
    alone = await take_some(app, count, None)
    start = time.perf_counter()
    flood = asyncio.gather(*(take(app, FLOOD, f"flood{n % 50}") for n in range(size)))
    beside = await take_some(app, 10 * count, flood)
    await flood
    return alone, beside, time.perf_counter() - start


def p95(times: Sequence[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(times, n=20)[-1]


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=400, help="turns at once (default: 400)")
    parser.add_argument("--count", type=int, default=60, help="turns alone (default: 60)")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    arguments = parser.parse_args()
    ratios = []
    async with opened_app() as app:
        await take_some(app, WARM_UP, None)
        print("alone p50    p95 | beside p50    p95 turns | flood, s | p95 beside / alone")
        for _ in range(arguments.rounds):
            alone, beside, seconds = await measure(app, arguments.size, arguments.count)
            ratios.append(p95(beside) / p95(alone))
            print(
                f"{statistics.median(alone):9.1f} {p95(alone):6.1f} | "
                f"{statistics.median(beside):10.1f} {p95(beside):6.1f} {len(beside):5} | "
                f"{seconds:8.1f} | {ratios[-1]:18.2f}",
                flush=True,
            )
    print(f"median: {statistics.median(ratios):.2f} (target 1.5)")


if __name__ == "__main__":
    asyncio.run(main())
