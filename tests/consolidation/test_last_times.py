"""What a session is told of the user's other sessions: the newest three, as long as they and the user want it."""

import asyncio
import json
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


async def told(keepsake: Keepsake, model: ModelServer, session: str = "now") -> list[str]:
    """The summaries of other sessions that the model is given in this one."""
    await keepsake.chat("Hello", session_id=session)
    blocks = [m["content"] for m in model.requests[-1]["messages"] if "<last_time>" in m["content"]]
    return [
        json.loads(block.split("<last_time>")[1].split("</last_time>")[0])["summary"]
        for block in blocks
    ]


async def summarised(keepsake: Keepsake, cosmos: LocalCosmos, session: str, message: str) -> None:
    """A session of one turn, with its summary."""
    await keepsake.chat(message, session_id=session)
    async with keepsake.client() as client:
        assert (await client.post(f"/sessions/{session}/consolidate")).status_code == 200
    cosmos.clock.advance(60)


async def test_the_newest_three_are_told(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Newest first; older ones stay findable in the list of sessions."""
    for n in range(5):
        await summarised(keepsake, cosmos, f"s{n}", f"My number is {n}.")
    assert await told(keepsake, model) == ["My number is 4.", "My number is 3.", "My number is 2."]
    assert await told(keepsake, model, "s4") == [
        "My number is 3.",
        "My number is 2.",
        "My number is 1.",
    ]


async def test_they_keep_within_their_budget(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A thousand tokens of summaries, whatever there is."""
    for n in range(3):
        await summarised(keepsake, cosmos, f"s{n}", f"My number is {n}{'0' * 1500}.")
    assert [len(text) for text in await told(keepsake, model)] == [1515, 1515]


async def test_the_newest_is_told_in_any_script(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A summary as long as it may be is told, also where a character takes three bytes; after it only what fits."""
    for n in range(2):
        model.script.extend(
            [
                Behaviour(),
                Behaviour(text=json.dumps({"title": "猫", "summary": f"{n}" + "猫" * 1599})),
            ]
        )
        await summarised(keepsake, cosmos, f"s{n}", "我的猫叫米娜。")
    assert [text[0] for text in await told(keepsake, model)] == ["1"]


async def test_a_warm_turn_reads_no_more_for_it(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """What other sessions are told stands beside the preferences, which every turn reads anyway."""
    await keepsake.chat("Hello", session_id="now")
    before = (await keepsake.chat("Hello", session_id="now")).json()["usage"]
    await summarised(keepsake, cosmos, "other", "My cat is called Mina.")
    after = (await keepsake.chat("Hello", session_id="now")).json()["usage"]
    assert (after["cosmos_calls"], after["redis_calls"]) == (
        before["cosmos_calls"],
        before["redis_calls"],
    )


async def test_a_forgotten_session_is_not_told(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """With the session goes what others were told of it."""
    await summarised(keepsake, cosmos, "s", "My cat is called Mina.")
    async with keepsake.client() as client:
        await client.delete("/sessions/s")
    assert await told(keepsake, model) == []
    assert "Mina" not in str(cosmos.rows("preferences"))


async def test_an_erased_user_is_not_told(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Nothing from before an erase is given after it."""
    await summarised(keepsake, cosmos, "s", "My cat is called Mina.")
    await bump_epoch(cosmos, "ada")
    assert await told(keepsake, model) == []


async def test_what_was_erased_is_not_carried_over(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """The first summary after an erase begins anew; one of before, that is late, does not come in again."""
    await summarised(keepsake, cosmos, "s", "My cat is called Mina.")
    await bump_epoch(cosmos, "ada")
    await summarised(keepsake, cosmos, "new", "I live in Oslo.")
    await (await keepsake.composition.services()).consolidation.run(
        ConsolidationJob(ADA, SessionId("s"))
    )
    beside = str(cosmos.rows("preferences"))
    assert ("Oslo" in beside, "Mina" in beside) == (True, False)


async def test_an_old_session_that_is_summarised_late_displaces_no_newer_one(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Newest is what was said last, not what was summarised last."""
    await keepsake.chat("I am late.", session_id="late")
    cosmos.clock.advance(60)
    for n in range(4):
        await summarised(keepsake, cosmos, f"s{n}", f"My number is {n}.")
    async with keepsake.client() as client:
        await client.post("/sessions/late/consolidate")
    assert await told(keepsake, model, "s3") == [
        "My number is 2.",
        "My number is 1.",
        "My number is 0.",
    ]


async def test_with_memory_off_nothing_is_told(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Who wants nothing remembered is told of nothing remembered."""
    await summarised(keepsake, cosmos, "s", "My cat is called Mina.")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
    assert await told(keepsake, model) == []


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PUT", {"preferences": {"tone": "short"}}),
        ("PATCH", {"preferences": {"tone": "short"}}),
        ("DELETE", None),
    ],
)
async def test_preferences_and_last_times_do_not_disturb_each_other(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    model: ModelServer,
    method: str,
    body: dict[str, Any] | None,
) -> None:
    """Setting or forgetting preferences leaves summaries alone, and the other way round."""
    await summarised(keepsake, cosmos, "s", "My cat is called Mina.")
    async with keepsake.client() as client:
        empty = await client.get("/preferences")
        assert (empty.json(), empty.headers["etag"]) == (
            {"preferences": {}, "memory_enabled": True},
            '"0"',
        )
        assert (await client.request(method, "/preferences", json=body)).status_code < 300
        kept = (await client.get("/preferences")).json()["preferences"]
    assert await told(keepsake, model) == ["My cat is called Mina."]
    await summarised(keepsake, cosmos, "t", "I live in Oslo.")
    async with keepsake.client() as client:
        assert (await client.get("/preferences")).json()["preferences"] == kept


async def test_a_summary_goes_with_the_newest_turn_it_covers(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer, live_rows: Rows
) -> None:
    """Rewritten on day 80, gone on day 90: headers, summaries, and what others are told, by the store's clock."""
    await keepsake.chat("My cat is called Mina.", session_id="s")
    await keepsake.chat("I live in Oslo.", session_id="renamed")
    cosmos.clock.advance(80 * DAY)
    async with keepsake.client() as client:
        await client.post("/sessions/s/consolidate")
        await client.patch("/sessions/renamed", json={"title": "Oslo"})
    assert await told(keepsake, model) == ["My cat is called Mina."]
    cosmos.clock.advance(10 * DAY + 60)
    assert await told(keepsake, model) == []
    assert [row["session_id"] for row in live_rows("session")] == ["now"]
    assert [row["session_id"] for row in live_rows("turn")] == ["now", "now"]


async def test_a_shorter_life_of_a_session_holds_for_what_others_are_told(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Shortened after it was summarised, it is told no longer than it lives."""
    await summarised(keepsake, cosmos, "s", "My cat is called Mina.")
    async with keepsake.client() as client:
        assert (await client.patch("/sessions/s", json={"ttl_seconds": 3600})).status_code == 200
    assert await told(keepsake, model) == ["My cat is called Mina."]
    cosmos.clock.advance(3600)
    assert await told(keepsake, model) == []


async def test_what_expired_is_not_kept_beside_the_preferences(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """The next summary takes its place, though there would be room for both."""
    await summarised(keepsake, cosmos, "s", "My cat is called Mina.")
    async with keepsake.client() as client:
        await client.patch("/sessions/s", json={"ttl_seconds": 3600})
    cosmos.clock.advance(3600)
    await summarised(keepsake, cosmos, "t", "I live in Oslo.")
    assert "Mina" not in str(cosmos.rows("preferences"))


async def test_a_turn_rewritten_on_day_eighty_is_gone_on_day_ninety(
    keepsake: Keepsake, cosmos: LocalCosmos, live_rows: Rows
) -> None:
    """Time to live counts from the last write; what is written again gets only what is left."""
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


async def test_a_session_that_lives_on_outlives_its_summary(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """What a summary tells of is gone on day 90, even if the session was kept alive by what it does not tell of."""
    await summarised(keepsake, cosmos, "s", "My cat is called Mina.")
    cosmos.clock.advance(30 * DAY)
    model.script.append(REFUSAL)
    assert (await keepsake.chat("Refused", session_id="s")).status_code == 422
    cosmos.clock.advance(61 * DAY)
    assert "summary" not in await keepsake.get("/sessions/s")
    await keepsake.chat("Hello", session_id="s")
    assert "Mina" not in str(model.requests[-1])
    assert await told(keepsake, model) == []


async def test_twenty_sessions_are_summarised_at_once(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A user who talked in many at a time: none loses races with the others until it gives up."""
    async with running(cosmos, model, summariser="extractive") as app, app.client() as client:
        names = [f"s{number}" for number in range(20)]
        for name in names:
            await app.chat("My cat is called Mina.", session_id=name)
        answers = await asyncio.gather(
            *(client.post(f"/sessions/{name}/consolidate") for name in names)
        )
    assert {answer.status_code for answer in answers} == {200}
