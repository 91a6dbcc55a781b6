"""`python -m operate.dead_letters`: list sessions that could not be summarised, and why.

With `--requeue` they are tried again. The command reads the app's settings from the environment and
accesses the same stores as the app, with the identity of the operator who is signed in.
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
    """List or requeue what was dead-lettered; on failure, print one line and return 1."""
    parser = argparse.ArgumentParser(prog="python -m operate.dead_letters", description=__doc__)
    parser.add_argument(
        "--requeue",
        action="store_true",
        help="make dead-lettered sessions due and put poison messages back on the queue",
    )
    try:
        asyncio.run(_run(requeue=parser.parse_args(arguments).requeue))
    except (SettingsError, KeepsakeError) as failed:
        return _fail(str(failed))
    except QueueUnavailable:
        return _fail(
            "the queue does not answer; check QUEUE_ENDPOINT, the storage account's firewall, "
            "and your role"
        )
    return 0


def _fail(reason: str) -> int:
    print(f"dead_letters: {reason}", file=sys.stderr)
    return 1


async def _run(*, requeue: bool) -> None:
    composition = Composition(load_settings())
    try:
        schedule = (await composition.services()).schedule
        await (_requeue(schedule) if requeue else _list(schedule))
    finally:
        await composition.close()


async def _requeue(schedule: ConsolidationSchedule) -> None:
    print(f"{await schedule.requeue()} requeued; the next timer run queues the sessions among them")


async def _list(schedule: ConsolidationSchedule) -> None:
    sessions = await schedule.list_dead_lettered()
    reasons = Counter(session.reason for session in sessions)
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    print(f"dead-lettered sessions: {len(sessions)}{f' ({counts})' if counts else ''}")
    print(f"poison messages: {await schedule.count_poison()}")
    for session in sessions[:SHOWN]:
        print(_line(session))
    if len(sessions) > SHOWN:
        print(f"... and {len(sessions) - SHOWN} more")


def _line(session: DeadLetteredSession) -> str:
    return f"{session.job.user.value}\t{session.job.session.value}\t{session.reason}"


if __name__ == "__main__":
    sys.exit(main())
