"""Old sessions become summaries, and later turns are given them."""

import json
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from local.model import Behaviour
from shared.prompts.summarise import answer_schema
from tests.conftest import Rows
from tests.support.app import BEN, Keepsake, running
from tests.support.model_server import REFUSAL, ModelServer

pytestmark = pytest.mark.anyio

IDLE = 31 * 60


def block(request: dict[str, Any], tag: str) -> str | None:
    """What stands between the tags in the user-role messages of a request to the model."""
    texts = [
        m["content"]
        for m in request["messages"]
        if m["role"] == "user" and f"<{tag}>" in m["content"]
    ]
    return texts[0].split(f"<{tag}>")[1].split(f"</{tag}>")[0].strip() if texts else None


async def test_a_session_that_rests_gets_a_summary(
    keepsake: Keepsake, cosmos: LocalCosmos, live_rows: Rows
) -> None:
    """Half an hour after its last turn the timer finds it; then it has a summary of all turns and is due no more."""
    await keepsake.chat("My cat is called Mina.")
    await keepsake.chat("I live in Oslo.")
    await keepsake.tick()
    assert "summary" not in await keepsake.get("/sessions/s")
    cosmos.clock.advance(IDLE)
    await keepsake.tick()
    session = await keepsake.get("/sessions/s")
    assert session["summary"] == {
        "text": "My cat is called Mina. I live in Oslo.",
        "from_seq": 1,
        "to_seq": 2,
        "extractive": False,
    }
    assert (session["consolidated_seq"], session["title"]) == (2, "My cat is called Mina.")
    assert live_rows("session")[0]["due_at"] is None


async def test_the_next_session_is_told_of_the_last(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A fact said yesterday is in what the model is given today, in another session, as data of the user's."""
    await keepsake.chat("My cat is called Mina.", session_id="yesterday")
    cosmos.clock.advance(86_400)
    await keepsake.tick()
    answer = (await keepsake.chat("Hello again", session_id="today")).json()
    told = json.loads(block(model.requests[-1], "last_time") or "{}")
    assert told["summary"] == "My cat is called Mina."
    assert [(entry["section"], entry.get("id")) for entry in answer["context"]] == [
        ("last_time", "yesterday")
    ]
    await keepsake.chat("And now?", session_id="yesterday")
    assert block(model.requests[-1], "last_time") is None


async def test_nobody_else_is_told(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A user's last time is not another's."""
    await keepsake.chat("My cat is called Mina.")
    cosmos.clock.advance(IDLE)
    await keepsake.tick()
    await keepsake.chat("Hello", user=BEN, session_id="t")
    assert "Mina" not in json.dumps(model.requests[-1])


async def test_a_fact_of_forty_turns_ago_is_given(cosmos: LocalCosmos, model: ModelServer) -> None:
    """What left the history is in the session's summary by then, without any timer."""
    async with running(cosmos, model) as keepsake:
        await keepsake.chat("My cat is called Mina.")
        for n in range(40):
            await keepsake.chat(f"Tell me about number {n}")
            await keepsake.work()
        await keepsake.chat("What is my cat called?", memory={"recall": False})
    last = model.requests[-1]
    assert "Mina" in (block(last, "session_summary") or "")
    said = [
        m["content"]
        for m in last["messages"]
        if m["role"] == "user" and "<session_summary>" not in m["content"]
    ]
    assert not [text for text in said if "Mina" in text]


async def test_while_all_turns_are_given_the_summary_is_not(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A summary takes the place of turns; it is not told beside them."""
    await keepsake.chat("My cat is called Mina.")
    cosmos.clock.advance(IDLE)
    await keepsake.tick()
    await keepsake.chat("Hello")
    assert block(model.requests[-1], "session_summary") is None
    assert "My cat is called Mina." in json.dumps(model.requests[-1])


async def test_consolidating_now_answers_with_the_result(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """POST summarises at once what is new, and nothing twice."""
    await keepsake.chat("My cat is called Mina.")
    async with keepsake.client() as client:
        first = await client.post("/sessions/s/consolidate")
        asked = len(model.requests)
        second = await client.post("/sessions/s/consolidate")
        missing = await client.post("/sessions/none/consolidate")
    assert first.json()["summary"]["text"] == "My cat is called Mina."
    assert (second.json(), len(model.requests)) == (first.json(), asked)
    assert (first.status_code, missing.status_code) == (200, 404)


async def test_without_a_model_a_summary_is_made_of_sentences(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """SUMMARISER=extractive: words the user said, and it says so."""
    async with running(cosmos, model, summariser="extractive") as keepsake:
        await keepsake.chat("Hello there! My cat is called Mina. What do cats eat?")
        async with keepsake.client() as client:
            session = (await client.post("/sessions/s/consolidate")).json()
    assert (session["summary"]["text"], session["summary"]["extractive"]) == (
        "My cat is called Mina.",
        True,
    )
    assert len(model.requests) == 1


async def test_what_the_provider_refuses_is_summarised_without_it_f16(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """After a content filter the summary is extractive, at once and for good."""
    await keepsake.chat("My cat is called Mina.")
    model.script.append(REFUSAL)
    async with keepsake.client() as client:
        session = (await client.post("/sessions/s/consolidate")).json()
    assert session["summary"]["extractive"] is True


async def test_a_summary_outlives_a_piece_that_nothing_can_be_chosen_from_f16(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """What was known stays as it is, and says that no model took in what came after."""
    notes = f"The user's cat is called Mina{' and so on' * 30}."
    async with keepsake.client() as client:
        await keepsake.chat("Thanks!")
        model.script.append(Behaviour(text=json.dumps({"title": "A cat", "summary": notes})))
        await client.post("/sessions/s/consolidate")
        await keepsake.chat("Thanks!")
        model.script.append(REFUSAL)
        session = (await client.post("/sessions/s/consolidate")).json()
    assert session["summary"] == {"text": notes, "from_seq": 1, "to_seq": 2, "extractive": True}


async def test_what_a_model_noted_is_kept_whole_beside_sentences_of_what_is_refused_f16(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Refusals, one after the other, add what the user said while there is room, and take nothing away."""
    notes = " ".join(f"The user's neighbour number {n} keeps {n} bees." for n in range(30))
    texts = []
    async with keepsake.client() as client:
        await keepsake.chat("Thanks!")
        model.script.append(Behaviour(text=json.dumps({"title": "Bees", "summary": notes})))
        await client.post("/sessions/s/consolidate")
        for said in (
            "My sister lives in Oslo.",
            "My brother lives in Bergen.",
            f"I live {'far ' * 50}away.",
        ):
            await keepsake.chat(said)
            model.script.append(REFUSAL)
            texts.append((await client.post("/sessions/s/consolidate")).json()["summary"]["text"])
    assert texts[0] == f"{notes}\nMy sister lives in Oslo."
    assert texts[1] == texts[2] == f"{texts[0]}\nMy brother lives in Bergen."


async def test_a_summary_is_asked_of_its_own_model_by_its_schema(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """SUMMARY_MODEL, and nothing but title and summary in the answer; no tools."""
    async with running(cosmos, model, summary_model="small") as keepsake:
        await keepsake.chat("My cat is called Mina.")
        async with keepsake.client() as client:
            await client.post("/sessions/s/consolidate")
    asked = model.requests[-1]
    assert (asked["model"], "tools" in asked) == ("small", False)
    assert asked["response_format"]["json_schema"]["schema"] == answer_schema()


@pytest.mark.parametrize(("remembered", "queued"), [(True, 1), (False, 0)])
async def test_a_tenth_turn_is_queued_if_it_is_remembered(
    keepsake: Keepsake,
    remembered: bool,  # noqa: FBT001 - a table's column
    queued: int,
) -> None:
    """Every tenth, not the ones around it; off the record none."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": remembered})
        for _ in range(12):
            await keepsake.chat("My cat is called Mina.")
    assert await keepsake.jobs.length() == queued
