"""`python -m operate.parked`: sessions that could not be summarised, and why; `--revive` has them tried anew.

It reads the app's settings from the environment, and speaks to the same stores as the app, as whoever is signed in.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence

from shared.composition import Composition
from shared.domain.errors import KeepsakeError
from shared.ports.jobs import QueueUnavailable
from shared.ports.summaries import ParkedSession
from shared.services.idle_sessions import IdleSessions
from shared.settings import SettingsError, load_settings

SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """List what is parked, or revive it; 1 and a line that says why, if that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m operate.parked", description=__doc__)
    parser.add_argument(
        "--revive",
        action="store_true",
        help="make parked sessions due, and put poison messages back",
    )
    try:
        asyncio.run(_run(revive=parser.parse_args(arguments).revive))
    except (SettingsError, KeepsakeError) as failed:
        print(f"parked: {failed}", file=sys.stderr)
        return 1
    except QueueUnavailable:
        print(
            "parked: the queue does not answer; look at QUEUE_ENDPOINT, its firewall, and your role",
            file=sys.stderr,
        )
        return 1
    return 0


async def _run(*, revive: bool) -> None:
    composition = Composition(load_settings())
    try:
        sessions = (await composition.services()).idle_sessions
        if revive:
            print(
                f"{await sessions.revive()} revived; the timer queues the sessions among them with its next run"
            )
        else:
            await _show(sessions)
    finally:
        await composition.close()


async def _show(sessions: IdleSessions) -> None:
    parked = await sessions.list_parked()
    reasons = Counter(one.reason for one in parked)
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    print(f"{len(parked)} sessions are parked{': ' if told else ''}{told}")
    print(f"{await sessions.count_poison()} messages are poison")
    for one in parked[:SHOWN]:
        print(_line(one))
    if len(parked) > SHOWN:
        print(f"... and {len(parked) - SHOWN} more")


def _line(one: ParkedSession) -> str:
    return f"{one.job.user.value}\t{one.job.session.value}\t{one.reason}"


if __name__ == "__main__":
    sys.exit(main())
