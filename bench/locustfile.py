"""The callers of bench.load, run by locust: each sends a turn, waits for the answer, and repeats.

What is sent and received goes to the file LEDGER, one JSON object per line, which bench/load.py
audits. This file imports nothing of Keepsake: locust patches Python's sockets, which must not
happen in any process of ours.
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import gevent
from locust import FastHttpUser, events, task

ADDRESSES = os.environ["ADDRESSES"].split()
USERS = int(os.environ["USERS"])
MODEL_SECONDS = float(os.environ["MODEL_SECONDS"])
HOT_SHARE = 0.2  # of turns: those of the first user
DUPLICATE_SHARE = 0.05  # of turns: those that are sent twice
TRIES = 5  # per turn, with Retry-After between them; each failure counts as an error
FIRST_NON_SUCCESS = 300

ledger = Path(os.environ["LEDGER"]).open("w")  # noqa: SIM115 - closed with the process
chance = random.Random(7)  # noqa: S311 - a fixed seed, so runs are comparable


class Caller(FastHttpUser):  # type: ignore[misc]  # locust is not installed where mypy runs
    """A caller that sends each turn for a random user."""

    host = ADDRESSES[0]

    @task  # type: ignore[untyped-decorator]  # as above
    def send_turn(self) -> None:
        """Send one turn, sometimes a second time while the first is running."""
        hot = chance.random() < HOT_SHARE
        user = "user-0" if hot else f"user-{chance.randrange(USERS)}"
        turn, start = uuid4().hex, time.monotonic()
        note("sent", user=user, turn=turn)
        duplicated = chance.random() < DUPLICATE_SHARE
        if duplicated:
            delay = chance.uniform(0, 2 * MODEL_SECONDS)
            duplicate = gevent.spawn_later(delay, self.chat, user, turn)
            self.chat(user, turn)
            duplicate.get()
        else:
            self.chat(user, turn)
        note("finished", hot=hot, duplicated=duplicated, start=start, end=time.monotonic())

    def chat(self, user: str, turn: str) -> None:
        """Send one turn until it succeeds."""
        body = {"message": f"Message {turn}", "session_id": "s", "turn_id": turn}
        for _ in range(TRIES):
            url = f"{chance.choice(ADDRESSES)}/api/chat"
            answer = self.client.post(url, json=body, headers={"x-user-id": user}, name="chat")
            if 0 < answer.status_code < FIRST_NON_SUCCESS:
                note("answer", user=user, turn=turn, answer=answer.json())
                return
            headers = answer.headers or {}
            note("error", kind=f"{answer.status_code} {headers.get('x-ms-error-code')}")
            gevent.sleep(float(headers.get("Retry-After", 1)))
        note("error", kind="no success after all tries")


def note(what: str, **fields: Any) -> None:
    """Write one line; greenlets cannot interleave here."""
    ledger.write(json.dumps({"what": what, **fields}) + "\n")


@events.user_error.add_listener  # type: ignore[untyped-decorator]  # as above
def note_error(exception: Exception, **_: Any) -> None:
    """Count a caller that raises as an error."""
    note("error", kind=type(exception).__name__)


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # as above
def note_start(**_: Any) -> None:
    """Subtract the CPU that locust used before its first call."""
    note("cpu", seconds=-time.process_time())


@events.quitting.add_listener  # type: ignore[untyped-decorator]  # as above
def note_end(**_: Any) -> None:
    """Note the CPU used in total, and close the ledger."""
    note("cpu", seconds=time.process_time())
    ledger.close()
