"""A provider's filter that refuses stored text: turns go on without it, and it is found (F48)."""

from typing import Any

import pytest

from cosmos_local import LocalCosmos
from local.model import Behaviour
from tests.support.app import PATIENT, Keepsake, running
from tests.support.model_server import REFUSAL, ModelServer
from tests.support.rows import bump_epoch

pytestmark = pytest.mark.anyio

WORD = "zanzibar"  # accepted when it was stored, refused from then on


@pytest.fixture
def embedding_model() -> str:
    """With vectors, so that turns are recalled."""
    return "scripted"


def prompt(model: ModelServer) -> str:
    """The prompt of the newest request."""
    return str(model.requests[-1]["messages"])


async def until_settled(keepsake: Keepsake) -> None:
    """Let turns finish what they do in the background, then run the jobs."""
    services = await keepsake.composition.services()
    await services.chat.drain()
    await keepsake.run_jobs()


async def talk(keepsake: Keepsake, *texts: str, session_id: str = "s") -> Any:
    """Send these messages; returns the last answer."""
    for text in texts:
        answer = await keepsake.chat(text, session_id=session_id)
        assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_refused_history_does_not_refuse_the_turn_f48(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The message is sent once more with nothing stored, and answered; the answer says so."""
    await talk(keepsake, "I am Ada", f"I like {WORD}", "I have a cat")
    model.filtered.add(WORD)
    before = len(model.requests)
    answer = await talk(keepsake, "What is my name?")
    assert (answer["degraded"], answer["context"]) == (["context_filtered"], [])
    assert len(model.requests) - before == 2
    assert "I am Ada" not in prompt(model)
    assert (await keepsake.transcript())[-1]["status"] == "done"


async def test_the_culprit_is_found_and_never_sent_again_f48(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Consolidation finds it in at most six calls; everything else is sent as before."""
    await talk(keepsake, *(f"My number is {n}." for n in range(7)), f"I like {WORD}.", "I am Ada.")
    model.filtered.add(WORD)
    await talk(keepsake, "What is my name?")
    before = len(model.requests)
    await until_settled(keepsake)
    probes = [request for request in model.requests[before:] if "stored_texts" in str(request)]
    assert 0 < len(probes) <= 6
    answer = await talk(keepsake, "And what is my number?")
    assert answer["degraded"] == []
    assert "I am Ada." in prompt(model)
    assert WORD not in prompt(model)


async def test_until_then_the_suspects_are_left_out_f48(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The next turns do not fail or need a second call."""
    await talk(keepsake, f"I like {WORD}")
    model.filtered.add(WORD)
    await talk(keepsake, "First")
    await (await keepsake.composition.services()).chat.drain()
    before = len(model.requests)
    assert (await talk(keepsake, "Second"))["degraded"] == []
    assert len(model.requests) - before == 1


async def test_a_refused_preference_is_found_and_the_others_stay_f48(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """In every session; a new value of the preference is tried again."""
    preferences = {f"key{n}": f"value {n}" for n in range(9)} | {"place": WORD}
    async with keepsake.client() as client:
        await client.put("/preferences", json={"preferences": preferences})
        model.filtered.add(WORD)
        assert (await talk(keepsake, "Hello"))["degraded"] == ["context_filtered"]
        await until_settled(keepsake)
        assert (await talk(keepsake, "Hello again", session_id="other"))["degraded"] == []
        assert "value 8" in prompt(model)
        assert WORD not in prompt(model)
        await client.patch("/preferences", json={"preferences": {"place": "Oslo"}})
    await talk(keepsake, "And now?")
    assert "Oslo" in prompt(model)


async def test_a_refused_recalled_turn_is_found_f48(keepsake: Keepsake, model: ModelServer) -> None:
    """It is neither recalled again, nor summarised, nor quoted by an extract."""
    await talk(
        keepsake,
        f"My red bicycle is in {WORD} harbour",
        "My red bicycle has a bell",
        session_id="old",
    )
    model.filtered.add(WORD)
    asked = "Where is my red bicycle?"
    assert (await talk(keepsake, asked))["degraded"] == ["context_filtered"]
    await until_settled(keepsake)
    answer = await talk(keepsake, asked)
    assert answer["degraded"] == []
    assert "has a bell" in prompt(model)
    async with keepsake.client() as client:
        session = (await client.post("/sessions/old/consolidate")).json()
    assert WORD not in session["summary"]["text"]


async def test_a_refused_source_never_becomes_a_recent_session_f48(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The extract leaves the refused turn out, and other sessions are not given even that."""
    await talk(keepsake, "My cat is called Mina.", f"I like {WORD}.", session_id="old")
    model.filtered.add(WORD)
    async with keepsake.client() as client:
        summary = (await client.post("/sessions/old/consolidate")).json()["summary"]
    assert (summary["text"], summary["extractive"]) == ("My cat is called Mina.", True)
    await talk(keepsake, "Hello")
    assert "recent_session" not in prompt(model)


async def test_refused_notes_are_dropped_f48(keepsake: Keepsake, model: ModelServer) -> None:
    """If it is the earlier summary that is refused, the next one is written without it."""
    await talk(keepsake, f"I like {WORD}.")
    async with keepsake.client() as client:
        await client.post("/sessions/s/consolidate")
        await talk(keepsake, "My cat is called Mina.", "I am Ada.")
        model.filtered.add(WORD)
        first = (await client.post("/sessions/s/consolidate")).json()
    assert WORD not in first["summary"]["text"]
    assert first["consolidated_seq"] == 3


async def test_a_refused_message_says_so_f48(keepsake: Keepsake, model: ModelServer) -> None:
    """If the message is refused even by itself, it is 422, and nothing is suspected."""
    await talk(keepsake, "I am Ada")
    model.filtered.add(WORD)
    refused = await keepsake.chat(f"Tell me about {WORD}", turn_id="t")
    assert refused.status_code == 422
    assert "this message or the reply to it, not what is stored" in refused.text
    assert (await keepsake.chat(f"Tell me about {WORD}", turn_id="t")).status_code == 422
    model.filtered.clear()
    await until_settled(keepsake)
    await talk(keepsake, "What is my name?")
    assert "I am Ada" in prompt(model)


async def test_a_stream_is_answered_without_refused_text_f48(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The reader sees one reply, and the flag at its end."""
    await talk(keepsake, f"I like {WORD}")
    model.filtered.add(WORD)
    answer = await keepsake.chat("What do I like?", stream=True)
    assert answer.text.count("event: done") == 1
    assert "context_filtered" in answer.text
    assert "event: error" not in answer.text


async def test_a_tool_loop_goes_on_without_refused_text_f48(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The question, the calls and their results belong together: all of them are sent."""
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    await talk(keepsake, f"I like {WORD}")
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    model.script.append(Behaviour(text="", tool_calls=[call], finish_reason="tool_calls"))
    await keepsake.chat("Look outside", tools=[tool])
    model.filtered.add(WORD)
    result = {"role": "tool", "tool_call_id": "c1", "content": "Rain"}
    answer = await keepsake.chat(None, messages=[result], tools=[tool])
    assert answer.json()["degraded"] == ["context_filtered"]
    assert [message["role"] for message in model.requests[-1]["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]


async def test_suspects_stay_when_the_model_cannot_be_asked_f48(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """They are tested by a later run; until then they are left out."""
    await talk(keepsake, "I am Ada.", f"I like {WORD}.", "I have a cat.")
    model.filtered.add(WORD)
    await talk(keepsake, "What is my name?")
    await (await keepsake.composition.services()).chat.drain()
    for _ in range(30):
        model.fail_next(500)
    await keepsake.run_jobs()
    model.script.clear()
    await talk(keepsake, "And now?")
    assert "I am Ada" not in prompt(model)
    async with keepsake.client() as client:
        await client.post("/sessions/s/consolidate")
    await talk(keepsake, "At last?")
    assert "I am Ada" in prompt(model)
    assert WORD not in prompt(model)


async def test_forgotten_texts_leave_the_quarantine_f48(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Deleting a session or the preferences leaves no trace of them in the quarantine."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"preferences": {"place": WORD}})
        await talk(keepsake, f"I like {WORD}")
        model.filtered.add(WORD)
        await talk(keepsake, "Hello")
        await until_settled(keepsake)
        await client.delete("/sessions/s")
        await client.delete("/preferences")
    rows: list[Any] = list(cosmos.rows("preferences"))
    stored = [row.get("quarantine", {}) for row in rows]
    assert [source for one in stored for source in one.get("culprits", ())] == []


async def test_a_failed_second_try_stores_nothing_f48(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The turn may be sent again, as after any failure of the model."""
    await talk(keepsake, "I am Ada")
    model.script.append(REFUSAL)
    model.fail_next(500)
    assert (await keepsake.chat("Hello", turn_id="t")).status_code == 503
    assert len(await keepsake.transcript()) == 1
    assert (await keepsake.chat("Hello", turn_id="t")).status_code == 200


async def test_with_memory_off_the_history_is_settled_too_f48(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Then nothing is summarised or recalled, but the history is sent."""
    async with running(cosmos, model, deadlines=PATIENT) as keepsake:
        async with keepsake.client() as client:
            await client.put("/preferences", json={"memory_enabled": False})
        await talk(keepsake, "I am Ada", f"I like {WORD}", "I have a cat")
        model.filtered.add(WORD)
        await talk(keepsake, "Hello")
        await until_settled(keepsake)
        assert (await talk(keepsake, "What is my name?"))["degraded"] == []
        assert "I am Ada" in prompt(model)


async def test_a_filter_that_errs_once_costs_no_memory_f48(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Only what is refused by itself is left out: here nothing, although a prompt was refused."""
    preferences = {"language": "German", "place": "Oslo"}
    async with keepsake.client() as client:
        await client.put("/preferences", json={"preferences": preferences})
    await talk(keepsake, "I am Ada", "I have a cat")
    for _ in range(3):
        model.script.append(REFUSAL)
        assert (await talk(keepsake, "Hello"))["degraded"] == ["context_filtered"]
        await until_settled(keepsake)
    await talk(keepsake, "What is my name?")
    assert all(text in prompt(model) for text in ("German", "Oslo", "I am Ada", "I have a cat"))


async def test_a_refused_word_far_into_a_message_is_found_f48(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A message is tested as the history sends it: whole."""
    await talk(keepsake, "I am Ada", f"{'So it goes. ' * 400}I like {WORD}. {'Yes. ' * 400}")
    model.filtered.add(WORD)
    await talk(keepsake, "Hello")
    await until_settled(keepsake)
    assert (await talk(keepsake, "What is my name?"))["degraded"] == []
    assert "I am Ada" in prompt(model)


async def test_a_session_from_before_an_erase_changes_nothing_f48(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Its suspects are not written over preferences that were set since."""
    await talk(keepsake, f"I like {WORD}")
    await bump_epoch(cosmos, "ada")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"preferences": {"place": "Oslo"}})
    model.filtered.add(WORD)
    await talk(keepsake, "Hello")
    await until_settled(keepsake)
    assert (await keepsake.get("/preferences"))["preferences"] == {"place": "Oslo"}


@pytest.mark.parametrize("memory_enabled", [True, False])
async def test_suspects_are_settled_later_if_need_be_f48(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    model: ModelServer,
    memory_enabled: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The session stays due while the model cannot be asked, with memory on and off."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": memory_enabled})
    await talk(keepsake, "I am Ada", f"I like {WORD}")
    model.filtered.add(WORD)
    await talk(keepsake, "Hello")
    await (await keepsake.composition.services()).chat.drain()
    for _ in range(30):
        model.fail_next(500)
    await keepsake.run_jobs()
    model.script.clear()
    for _ in range(2):
        cosmos.clock.advance(960)
        await keepsake.run_timers()
    await talk(keepsake, "What is my name?")
    assert "I am Ada" in prompt(model)
    assert WORD not in prompt(model)
