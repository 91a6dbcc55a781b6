"""Callers, as locust runs them in an environment of its own: each asks, waits for the answer and asks again.

What each sent and was told goes to the file LEDGER, a JSON object a line, for bench/load.py to read and audit. Nothing
of Keepsake is imported here: locust changes Python's own sockets, and no process of ours shall have that.
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
HOT_SHARE, TWICE_SHARE = 0.2, 0.05  # the first user's part of all turns; turns that are sent twice
TRIES = 5  # a caller sends a refused turn again as it was told to; each refusal counts as an error
OK = 300  # statuses below it

ledger = Path(os.environ["LEDGER"]).open("w")  # noqa: SIM115 - closed with the process
chance = random.Random(7)  # noqa: S311 - much the same choices each time


class Caller(FastHttpUser):  # type: ignore[misc]  # locust is not in the environment of the types
    """One who asks, for somebody else each time."""

    host = ADDRESSES[0]

    @task  # type: ignore[untyped-decorator]  # as above
    def ask(self) -> None:
        """One turn of somebody, now and then sent twice."""
        hot = chance.random() < HOT_SHARE
        user = "user-0" if hot else f"user-{chance.randrange(USERS)}"
        turn, start = uuid4().hex, time.monotonic()
        note("sent", user=user, turn=turn)
        twice = chance.random() < TWICE_SHARE
        if twice:
            again = gevent.spawn_later(chance.uniform(0, 2 * MODEL_SECONDS), self.chat, user, turn)
            self.chat(user, turn)
            again.get()
        else:
            self.chat(user, turn)
        note("asked", hot=hot, twice=twice, start=start, end=time.monotonic())

    def chat(self, user: str, turn: str) -> None:
        """Send one turn until it is answered."""
        body = {"message": f"Message {turn}", "session_id": "s", "turn_id": turn}
        for _ in range(TRIES):
            url = f"{chance.choice(ADDRESSES)}/api/chat"
            answer = self.client.post(url, json=body, headers={"x-user-id": user}, name="chat")
            if 0 < answer.status_code < OK:
                note("told", user=user, turn=turn, answer=answer.json())
                return
            note(
                "error",
                kind=f"{answer.status_code} {(answer.headers or {}).get('x-ms-error-code')}",
            )
            gevent.sleep(float((answer.headers or {}).get("Retry-After", 1)))
        note("error", kind="given up")


def note(what: str, **of: Any) -> None:
    """Write one line; greenlets do not interrupt each other here."""
    ledger.write(json.dumps({"what": what, **of}) + "\n")


@events.user_error.add_listener  # type: ignore[untyped-decorator]  # as above
def note_error(exception: Exception, **_: Any) -> None:
    """A caller that breaks is an error, too."""
    note("error", kind=type(exception).__name__)


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # as above
def note_start(**_: Any) -> None:
    """From here on locust's CPU is that of calling."""
    note("cpu", seconds=-time.process_time())


@events.quitting.add_listener  # type: ignore[untyped-decorator]  # as above
def note_end(**_: Any) -> None:
    """All is said."""
    note("cpu", seconds=time.process_time())
    ledger.close()
