"""Idle sessions are summarised, and later turns include the summaries."""

import json
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from local.model import Behaviour
from shared.prompts.summarise import answer_schema
from tests.conftest import Rows
from tests.support.app import BEN, Keepsake, running
from tests.support.model_server import ModelServer
from tests.support.model_shapes import whole

pytestmark = pytest.mark.anyio

REFUSED = whole({"refusal": "I will not."})

IDLE = 31 * 60


def block(request: dict[str, Any], tag: str) -> str | None:
    """The content of a tagged block in the user messages of a model request."""
    texts = [
        m["content"]
        for m in request["messages"]
        if m["role"] == "user" and f"<{tag}>" in m["content"]
    ]
    return texts[0].split(f"<{tag}>")[1].split(f"</{tag}>")[0].strip() if texts else None


async def test_an_idle_session_is_summarised(
    keepsake: Keepsake, cosmos: LocalCosmos, live_rows: Rows
) -> None:
    """Half an hour after its last turn the timer finds a session; then all of it is summarised."""
    await keepsake.chat("My cat is called Mina.")
    await keepsake.chat("I live in Oslo.")
    await keepsake.run_timers()
    assert "summary" not in await keepsake.get("/sessions/s")
    cosmos.clock.advance(IDLE)
    await keepsake.run_timers()
    session = await keepsake.get("/sessions/s")
    assert session["summary"] == {
        "text": "My cat is called Mina. I live in Oslo.",
        "from_seq": 1,
        "to_seq": 2,
        "extractive": False,
    }
    assert (session["consolidated_seq"], session["title"]) == (2, "My cat is called Mina.")
    assert live_rows("session")[0]["due_at"] is None


async def test_the_next_session_includes_the_last_ones_summary(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A fact of yesterday's session is in today's context, as data in a user message."""
    await keepsake.chat("My cat is called Mina.", session_id="yesterday")
    cosmos.clock.advance(86_400)
    await keepsake.run_timers()
    answer = (await keepsake.chat("Hello again", session_id="today")).json()
    recent_session = json.loads(block(model.requests[-1], "recent_session") or "{}")
    assert recent_session["summary"] == "My cat is called Mina."
    assert [(entry["section"], entry.get("id")) for entry in answer["context"]] == [
        ("recent_session", "yesterday")
    ]
    await keepsake.chat("And now?", session_id="yesterday")
    assert block(model.requests[-1], "recent_session") is None


async def test_other_users_do_not_see_the_summary(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A user's recent session is not in another user's context."""
    await keepsake.chat("My cat is called Mina.")
    cosmos.clock.advance(IDLE)
    await keepsake.run_timers()
    await keepsake.chat("Hello", user=BEN, session_id="t")
    assert "Mina" not in json.dumps(model.requests[-1])


async def test_a_fact_from_forty_turns_ago_is_in_the_context(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """What has left the history is in the session's summary by then, without the timer."""
    async with running(cosmos, model) as keepsake:
        await keepsake.chat("My cat is called Mina.")
        for n in range(40):
            await keepsake.chat(f"Tell me about number {n}")
            await keepsake.run_jobs()
        await keepsake.chat("What is my cat called?", memory={"recall": False})
    last = model.requests[-1]
    assert "Mina" in (block(last, "session_summary") or "")
    sentence = [
        m["content"]
        for m in last["messages"]
        if m["role"] == "user" and "<session_summary>" not in m["content"]
    ]
    assert not [text for text in sentence if "Mina" in text]


async def test_the_summary_is_left_out_while_all_turns_are_in_the_history(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A summary replaces turns, so it is left out while they are all in the history."""
    await keepsake.chat("My cat is called Mina.")
    cosmos.clock.advance(IDLE)
    await keepsake.run_timers()
    await keepsake.chat("Hello")
    assert block(model.requests[-1], "session_summary") is None
    assert "My cat is called Mina." in json.dumps(model.requests[-1])


async def test_consolidating_on_request_returns_the_result(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """POST summarises new turns at once; a second POST has nothing to do."""
    await keepsake.chat("My cat is called Mina.")
    async with keepsake.client() as client:
        first = await client.post("/sessions/s/consolidate")
        requests_before = len(model.requests)
        second = await client.post("/sessions/s/consolidate")
        missing = await client.post("/sessions/none/consolidate")
    assert first.json()["summary"]["text"] == "My cat is called Mina."
    assert (second.json(), len(model.requests)) == (first.json(), requests_before)
    assert (first.status_code, missing.status_code) == (200, 404)


async def test_without_a_model_the_summary_is_extractive(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """SUMMARISER=extractive picks sentences of the user and flags the summary."""
    async with running(cosmos, model, summariser="extractive") as keepsake:
        await keepsake.chat("Hello there! My cat is called Mina. What do cats eat?")
        async with keepsake.client() as client:
            session = (await client.post("/sessions/s/consolidate")).json()
    assert (session["summary"]["text"], session["summary"]["extractive"]) == (
        "My cat is called Mina.",
        True,
    )
    assert len(model.requests) == 1


async def test_a_refused_chunk_gets_an_extractive_summary_f16(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """If the model refuses, the summary is extractive at once, without a retry."""
    await keepsake.chat("My cat is called Mina.")
    model.script.append(REFUSED)
    async with keepsake.client() as client:
        session = (await client.post("/sessions/s/consolidate")).json()
    assert session["summary"]["extractive"] is True


async def test_a_chunk_without_usable_sentences_keeps_the_earlier_summary_f16(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The earlier summary is kept and flagged as extractive: no model has seen the new turns."""
    notes = f"The user's cat is called Mina{' and so on' * 30}."
    async with keepsake.client() as client:
        await keepsake.chat("Thanks!")
        model.script.append(Behaviour(text=json.dumps({"title": "A cat", "summary": notes})))
        await client.post("/sessions/s/consolidate")
        await keepsake.chat("Thanks!")
        model.script.append(REFUSED)
        session = (await client.post("/sessions/s/consolidate")).json()
    assert session["summary"] == {"text": notes, "from_seq": 1, "to_seq": 2, "extractive": True}


async def test_an_earlier_summary_is_kept_whole_when_chunks_are_refused_f16(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Each refusal adds sentences while there is room, and never removes the earlier summary."""
    notes = " ".join(f"The user's neighbour number {n} keeps {n} bees." for n in range(30))
    texts = []
    async with keepsake.client() as client:
        await keepsake.chat("Thanks!")
        model.script.append(Behaviour(text=json.dumps({"title": "Bees", "summary": notes})))
        await client.post("/sessions/s/consolidate")
        for sentence in (
            "My sister lives in Oslo.",
            "My brother lives in Bergen.",
            f"I live {'far ' * 50}away.",
        ):
            await keepsake.chat(sentence)
            model.script.append(REFUSED)
            texts.append((await client.post("/sessions/s/consolidate")).json()["summary"]["text"])
    assert texts[0] == f"{notes}\nMy sister lives in Oslo."
    assert texts[1] == texts[2] == f"{texts[0]}\nMy brother lives in Bergen."


async def test_the_summary_model_and_schema_are_requested(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """The request uses SUMMARY_MODEL, a schema of title and summary only, and no tools."""
    async with running(cosmos, model, summary_model="small") as keepsake:
        await keepsake.chat("My cat is called Mina.")
        async with keepsake.client() as client:
            await client.post("/sessions/s/consolidate")
    request = model.requests[-1]
    assert (request["model"], "tools" in request) == ("small", False)
    assert request["response_format"]["json_schema"]["schema"] == answer_schema()


@pytest.mark.parametrize(("memory_enabled", "queued"), [(True, 1), (False, 0)])
async def test_every_tenth_turn_is_queued_with_memory_on(
    keepsake: Keepsake,
    memory_enabled: bool,  # noqa: FBT001 - a column of the table
    queued: int,
) -> None:
    """Every tenth turn is queued, unless memory is off."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": memory_enabled})
        for _ in range(12):
            await keepsake.chat("My cat is called Mina.")
    assert await keepsake.jobs.length() == queued
