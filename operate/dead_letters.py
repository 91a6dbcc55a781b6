"""`python -m operate.dead_letters`: sessions that could not be summarised, and why; `--revive` has them tried anew.

It reads the app's settings from the environment, and speaks to the same stores as the app, as whoever is signed in.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence

from shared.bootstrap.composition import Composition
from shared.domain.errors import KeepsakeError
from shared.ports.consolidation import DeadLetteredSession
from shared.ports.jobs import QueueUnavailable
from shared.services.consolidation import ConsolidationSchedule
from shared.settings import SettingsError, load_settings

SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """List what is parked, or revive it; 1 and a line that says why, if that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m operate.dead_letters", description=__doc__)
    parser.add_argument(
        "--requeue",
        action="store_true",
        help="make dead_lettered sessions due, and put poison messages back",
    )
    try:
        asyncio.run(_run(requeue=parser.parse_args(arguments).requeue))
    except (SettingsError, KeepsakeError) as failed:
        print(f"dead_lettered: {failed}", file=sys.stderr)
        return 1
    except QueueUnavailable:
        print(
            "dead_lettered: the queue does not answer; look at QUEUE_ENDPOINT, its firewall, and your role",
            file=sys.stderr,
        )
        return 1
    return 0


async def _run(*, requeue: bool) -> None:
    composition = Composition(load_settings())
    try:
        sessions = (await composition.services()).schedule
        if requeue:
            print(
                f"{await sessions.requeue()} requeued; the timer queues the sessions among them with its next run"
            )
        else:
            await _show(sessions)
    finally:
        await composition.close()


async def _show(sessions: ConsolidationSchedule) -> None:
    dead_lettered = await sessions.list_dead_lettered()
    reasons = Counter(one.reason for one in dead_lettered)
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    print(f"{len(dead_lettered)} sessions are dead_lettered{': ' if told else ''}{told}")
    print(f"{await sessions.count_poison()} messages are poison")
    for one in dead_lettered[:SHOWN]:
        print(_line(one))
    if len(dead_lettered) > SHOWN:
        print(f"... and {len(dead_lettered) - SHOWN} more")


def _line(one: DeadLetteredSession) -> str:
    return f"{one.job.user.value}\t{one.job.session.value}\t{one.reason}"


if __name__ == "__main__":
    sys.exit(main())
