"""Recent sessions: a turn includes the newest three summaries of the user's other sessions."""

import asyncio
import json
import re
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from local.model import Behaviour
from shared.domain.ids import SessionId
from shared.ports.jobs import ConsolidationJob
from tests.conftest import Rows
from tests.support.app import Keepsake, running
from tests.support.ask import ADA
from tests.support.model_server import REFUSAL, ModelServer
from tests.support.rows import bump_epoch

pytestmark = pytest.mark.anyio

DAY = 86_400


async def read_recent_sessions(
    keepsake: Keepsake, model: ModelServer, session: str = "now"
) -> list[str]:
    """The summaries of other sessions that the model is given in this session."""
    await keepsake.chat("Hello", session_id=session)
    sent = "".join(str(m["content"]) for m in model.requests[-1]["messages"])
    blocks = re.findall("<recent_session>(.*?)</recent_session>", sent, re.DOTALL)
    return [json.loads(block)["summary"] for block in blocks]


async def summarise(keepsake: Keepsake, cosmos: LocalCosmos, session: str, message: str) -> None:
    """Take a turn in a session and consolidate it."""
    await keepsake.chat(message, session_id=session)
    async with keepsake.client() as client:
        assert (await client.post(f"/sessions/{session}/consolidate")).status_code == 200
    cosmos.clock.advance(60)


async def test_the_newest_three_sessions_are_included(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Newest first; older ones remain in the list of sessions."""
    for n in range(5):
        await summarise(keepsake, cosmos, f"s{n}", f"My number is {n}.")
    assert await read_recent_sessions(keepsake, model) == [
        "My number is 4.",
        "My number is 3.",
        "My number is 2.",
    ]
    assert await read_recent_sessions(keepsake, model, "s4") == [
        "My number is 3.",
        "My number is 2.",
        "My number is 1.",
    ]


async def test_recent_sessions_fit_their_budget(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Recent sessions take at most a thousand tokens."""
    for n in range(3):
        await summarise(keepsake, cosmos, f"s{n}", f"My number is {n}{'0' * 1500}.")
    assert [len(text) for text in await read_recent_sessions(keepsake, model)] == [1515, 1515]


async def test_the_newest_session_is_included_in_any_script(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """The newest summary is always included, even at three bytes per character."""
    for n in range(2):
        model.script.extend(
            [
                Behaviour(),
                Behaviour(text=json.dumps({"title": "猫", "summary": f"{n}" + "猫" * 1599})),
            ]
        )
        await summarise(keepsake, cosmos, f"s{n}", "我的猫叫米娜。")
    assert [text[0] for text in await read_recent_sessions(keepsake, model)] == ["1"]


async def test_recent_sessions_cost_a_warm_turn_no_read(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Recent sessions are stored with the preferences, which every turn reads anyway."""
    await keepsake.chat("Hello", session_id="now")
    before = (await keepsake.chat("Hello", session_id="now")).json()["usage"]
    await summarise(keepsake, cosmos, "other", "My cat is called Mina.")
    after = (await keepsake.chat("Hello", session_id="now")).json()["usage"]
    assert (after["cosmos_calls"], after["redis_calls"]) == (
        before["cosmos_calls"],
        before["redis_calls"],
    )


async def test_a_deleted_session_is_not_included(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Deleting a session withdraws its summary."""
    await summarise(keepsake, cosmos, "s", "My cat is called Mina.")
    async with keepsake.client() as client:
        await client.delete("/sessions/s")
    assert await read_recent_sessions(keepsake, model) == []
    assert "Mina" not in str(cosmos.rows("preferences"))


async def test_nothing_from_before_an_erase_is_included(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Nothing from before an erase is used afterwards."""
    await summarise(keepsake, cosmos, "s", "My cat is called Mina.")
    await bump_epoch(cosmos, "ada")
    assert await read_recent_sessions(keepsake, model) == []


async def test_summaries_are_not_carried_over_an_erase(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """The first summary after an erase starts a new list, and a late one from before is ignored."""
    await summarise(keepsake, cosmos, "s", "My cat is called Mina.")
    await bump_epoch(cosmos, "ada")
    await summarise(keepsake, cosmos, "new", "I live in Oslo.")
    await (await keepsake.composition.services()).consolidation.run(
        ConsolidationJob(ADA, SessionId("s"))
    )
    stored = str(cosmos.rows("preferences"))
    assert ("Oslo" in stored, "Mina" in stored) == (True, False)


async def test_a_late_summary_does_not_displace_newer_sessions(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """The newest session is the one with the newest turn, not the one summarised last."""
    await keepsake.chat("I am late.", session_id="late")
    cosmos.clock.advance(60)
    for n in range(4):
        await summarise(keepsake, cosmos, f"s{n}", f"My number is {n}.")
    async with keepsake.client() as client:
        await client.post("/sessions/late/consolidate")
    assert await read_recent_sessions(keepsake, model, "s3") == [
        "My number is 2.",
        "My number is 1.",
        "My number is 0.",
    ]


async def test_with_memory_off_no_session_is_included(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """With memory off, no recent sessions are included."""
    await summarise(keepsake, cosmos, "s", "My cat is called Mina.")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
    assert await read_recent_sessions(keepsake, model) == []


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PUT", {"preferences": {"tone": "short"}}),
        ("PATCH", {"preferences": {"tone": "short"}}),
        ("DELETE", None),
    ],
)
async def test_preferences_and_recent_sessions_are_independent(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    model: ModelServer,
    method: str,
    body: dict[str, Any] | None,
) -> None:
    """Changing preferences does not affect recent sessions, and vice versa."""
    await summarise(keepsake, cosmos, "s", "My cat is called Mina.")
    async with keepsake.client() as client:
        empty = await client.get("/preferences")
        assert (empty.json(), empty.headers["etag"]) == (
            {"preferences": {}, "memory_enabled": True},
            '"0"',
        )
        assert (await client.request(method, "/preferences", json=body)).status_code < 300
        kept = (await client.get("/preferences")).json()["preferences"]
    assert await read_recent_sessions(keepsake, model) == ["My cat is called Mina."]
    await summarise(keepsake, cosmos, "t", "I live in Oslo.")
    async with keepsake.client() as client:
        assert (await client.get("/preferences")).json()["preferences"] == kept


async def test_a_summary_expires_with_its_newest_turn(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer, live_rows: Rows
) -> None:
    """Rewritten on day 80, headers and summaries still expire on day 90, by the store's clock."""
    await keepsake.chat("My cat is called Mina.", session_id="s")
    await keepsake.chat("I live in Oslo.", session_id="renamed")
    cosmos.clock.advance(80 * DAY)
    async with keepsake.client() as client:
        await client.post("/sessions/s/consolidate")
        await client.patch("/sessions/renamed", json={"title": "Oslo"})
    assert await read_recent_sessions(keepsake, model) == ["My cat is called Mina."]
    cosmos.clock.advance(10 * DAY + 60)
    assert await read_recent_sessions(keepsake, model) == []
    assert [row["session_id"] for row in live_rows("session")] == ["now"]
    assert [row["session_id"] for row in live_rows("turn")] == ["now", "now"]


async def test_a_shorter_time_to_live_applies_to_the_recent_session(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A recent session expires with its session, even if that was shortened afterwards."""
    await summarise(keepsake, cosmos, "s", "My cat is called Mina.")
    async with keepsake.client() as client:
        assert (await client.patch("/sessions/s", json={"ttl_seconds": 3600})).status_code == 200
    assert await read_recent_sessions(keepsake, model) == ["My cat is called Mina."]
    cosmos.clock.advance(3600)
    assert await read_recent_sessions(keepsake, model) == []


async def test_an_expired_recent_session_is_replaced(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """The next summary replaces an expired one, although there would be room for both."""
    await summarise(keepsake, cosmos, "s", "My cat is called Mina.")
    async with keepsake.client() as client:
        await client.patch("/sessions/s", json={"ttl_seconds": 3600})
    cosmos.clock.advance(3600)
    await summarise(keepsake, cosmos, "t", "I live in Oslo.")
    assert "Mina" not in str(cosmos.rows("preferences"))


async def test_a_rewritten_turn_expires_on_its_original_day(
    keepsake: Keepsake, cosmos: LocalCosmos, live_rows: Rows
) -> None:
    """Time to live counts from the last write, so a rewritten item gets only the remainder."""
    await keepsake.chat("My cat is called Mina.")
    cosmos.clock.advance(80 * DAY)
    async with keepsake.client() as client:
        await client.patch(
            "/sessions/s", json={"ttl_seconds": 89 * DAY}
        )  # rewrites header and turns
    cosmos.clock.advance(8 * DAY)
    assert len(live_rows("turn")) == 1
    cosmos.clock.advance(2 * DAY)
    assert (live_rows("turn"), live_rows("session")) == ([], [])


async def test_a_session_may_outlive_its_summary(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A summary expires with its newest turn, even if a refused turn keeps the session alive."""
    await summarise(keepsake, cosmos, "s", "My cat is called Mina.")
    cosmos.clock.advance(30 * DAY)
    model.script.extend([REFUSAL, REFUSAL])
    assert (await keepsake.chat("Refused", session_id="s")).status_code == 422
    cosmos.clock.advance(61 * DAY)
    assert "summary" not in await keepsake.get("/sessions/s")
    await keepsake.chat("Hello", session_id="s")
    assert "Mina" not in str(model.requests[-1])
    assert await read_recent_sessions(keepsake, model) == []


async def test_twenty_concurrent_consolidations_succeed(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Concurrent consolidations of one user do not fail by competing with each other."""
    async with running(cosmos, model, summariser="extractive") as app, app.client() as client:
        names = [f"s{number}" for number in range(20)]
        for name in names:
            await app.chat("My cat is called Mina.", session_id=name)
        answers = await asyncio.gather(
            *(client.post(f"/sessions/{name}/consolidate") for name in names)
        )
    assert {answer.status_code for answer in answers} == {200}
