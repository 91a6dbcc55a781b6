"""Long sessions cost what short ones do: no request reads more turns than it needs."""

import logging
import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from cosmos_local import LocalCosmos
from shared.adapters.cosmos.items import empty_header, turn_item
from shared.adapters.cosmos.times import write_time
from shared.adapters.system_clock import SystemClock
from shared.domain.ids import Gen, SessionId
from shared.domain.messages import Message
from tests.support.app import Keepsake
from tests.support.build import ADA, a_turn
from tests.support.rows import create_items

pytestmark = pytest.mark.anyio

LENGTHS = {"short": 40, "long": 1000}  # turns of these sessions


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """Without a session cache every turn is cold."""
    return {}


async def seed(
    cosmos: LocalCosmos, session: str, length: int, *, missing: range = range(0)
) -> None:
    """Store a session with this many turns, without those that are missing."""
    now, gen = SystemClock().now(), Gen(uuid4().hex)
    expires_at = now + timedelta(days=1)
    header = empty_header(ADA, SessionId(session), gen, 0, None, now) | {
        "turn_count": length,
        "expires_at": write_time(expires_at),
        "ttl": 86_400,
    }
    fields: dict[str, Any] = {
        "session_id": SessionId(session),
        "gen": gen,
        "messages": (Message(role="user", content="Hello there", at=now),),
        "created_at": now,
        "expires_at": expires_at,
    }
    turns = [turn_item(ADA, a_turn(n, **fields)) for n in range(1, length + 1) if n not in missing]
    await create_items(cosmos, "ada", [header, *turns])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/chat", {"message": "Hi"}),
        ("POST", "/context", {"message": "Hi"}),
        ("GET", "/sessions/{session}/turns", None),
        ("GET", "/sessions/{session}/turns?order=desc", None),
        ("GET", "/sessions/{session}", None),
    ],
)
async def test_a_request_costs_the_same_in_a_long_session(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    body: dict[str, Any] | None,
) -> None:
    """In request units, at 40 and at 1,000 turns: the rows that are read do not grow."""
    await keepsake.chat("The first request also reads the account", session_id="other")
    caplog.set_level(logging.INFO, "keepsake")
    async with keepsake.client() as client:
        for session, length in LENGTHS.items():
            await seed(cosmos, session, length)
            sent = body and body | {"session_id": session}
            answer = await client.request(method, path.format(session=session), json=sent)
            assert answer.status_code == 200, answer.text
    short, long = (float(units) for units in re.findall(r"request_units=(\S+)", caplog.text))
    assert long == pytest.approx(short, abs=1)


async def test_turns_are_listed_across_a_gap(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """A gap of expired turns that is longer than a page hides nothing behind it."""
    await seed(cosmos, "s", 60, missing=range(5, 50))
    forwards = await seqs_of(keepsake, "/api/sessions/s/turns?limit=10")
    backwards = await seqs_of(keepsake, "/api/sessions/s/turns?limit=10&order=desc")
    assert forwards == backwards[::-1] == [*range(1, 5), *range(50, 61)]


async def seqs_of(keepsake: Keepsake, link: str | None) -> list[int]:
    """The seqs of all turns on all pages."""
    seen: list[int] = []
    async with keepsake.client() as client:
        while link:
            page = (await client.get(f"http://127.0.0.1{link}")).json()
            seen += [turn["seq"] for turn in page["value"]]
            link = page.get("next_link")
    return seen
