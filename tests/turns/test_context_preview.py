"""POST /context: the context of a turn, for models that the caller runs."""

import json
from typing import Any

import pytest

from cosmos_local import Fault, LocalCosmos
from local.model import Behaviour
from tests.support.app import BEN, Keepsake
from tests.support.model_server import ModelServer
from tests.support.recall import ASKED, BIKE
from tests.support.rows import bump_epoch

pytestmark = pytest.mark.anyio


@pytest.fixture
def embedding_model() -> str:
    """With vectors."""
    return "scripted"


async def read_preview(
    keepsake: Keepsake, message: str = ASKED, *, user: str = "ada", **fields: Any
) -> dict[str, Any]:
    """The context preview of a message."""
    async with keepsake.client(user) as client:
        answer = await client.post("/context", json={"message": message} | fields)
    preview: dict[str, Any] = answer.raise_for_status().json()
    return preview


async def test_a_preview_equals_the_context_of_a_turn(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A preview has the same messages as a turn, except system messages, and the same reasons."""
    async with keepsake.client() as client:
        await client.patch("/preferences", json={"preferences": {"tone": "short"}})
    await keepsake.chat(BIKE, session_id="monday")
    await keepsake.chat("Hello", session_id="tuesday")
    preview = await read_preview(keepsake, session_id="tuesday")
    turn = (await keepsake.chat(ASKED, session_id="tuesday")).json()
    assert preview["messages"] == model.requests[-1]["messages"][1:]
    entries = [
        {name: value for name, value in entry.items() if name != "tokens"}
        for entry in preview["context"]
    ]
    assert entries == turn["context"]
    assert [entry["section"] for entry in entries] == ["preferences", "history", "recalled_turns"]


async def test_a_preview_counts_tokens(keepsake: Keepsake) -> None:
    """Every entry with text has a token count, and so do all messages together."""
    await keepsake.chat(BIKE, session_id="monday")
    preview = await read_preview(keepsake)
    assert [entry["tokens"] > 10 for entry in preview["context"]] == [True]
    assert preview["tokens"] > sum(entry["tokens"] for entry in preview["context"])
    assert (await read_preview(keepsake, budget_tokens=10))["context"] == []


async def test_a_preview_counts_the_tokens_of_tool_calls(keepsake: Keepsake) -> None:
    """Tool calls count, because they are sent too."""
    call = {"id": "c1", "function": {"name": "find", "arguments": json.dumps({"what": "x" * 800})}}
    messages = [
        {"role": "user", "content": "Find it"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "found", "tool_call_id": "c1"},
        {"role": "assistant", "content": "There"},
    ]
    async with keepsake.client() as client:
        assert (
            await client.put("/sessions/s/turns/t", json={"messages": messages})
        ).status_code == 201
    assert (await read_preview(keepsake, "Hello", session_id="s"))["tokens"] > 200


async def test_a_preview_changes_nothing(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """No session is created, nothing is stored, and no chat model is called."""
    before = cosmos.rows("memory")
    preview = await read_preview(keepsake, session_id="missing")
    assert preview["messages"] == [{"role": "user", "content": ASKED}]
    assert (cosmos.rows("memory"), model.requests) == (before, [])


async def test_a_preview_has_nothing_from_before_an_erase_f37(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """The user's epoch counts even if the session does not exist."""
    await keepsake.chat(BIKE, session_id="monday")
    await bump_epoch(cosmos, "ada")
    assert (await read_preview(keepsake, session_id="missing"))["context"] == []
    await keepsake.chat(f"{BIKE} today", session_id="tuesday", turn_id="new")
    assert [
        entry["id"] for entry in (await read_preview(keepsake, session_id="missing"))["context"]
    ] == ["new"]


async def test_a_preview_is_per_user_f33(keepsake: Keepsake) -> None:
    """Another user's session and turns look as if they had never existed."""
    await keepsake.chat(BIKE, session_id="monday")
    foreign = await read_preview(keepsake, user=BEN, session_id="monday")
    missing = await read_preview(keepsake, user=BEN, session_id="missing")
    assert foreign == missing
    assert foreign["context"] == []


async def test_with_memory_off_a_preview_is_the_history_only(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """If the user has switched memory off, nothing is searched."""
    await keepsake.chat(BIKE, session_id="monday")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
    await keepsake.chat("Hello", session_id="tuesday")
    model.embedding_requests.clear()
    preview = await read_preview(keepsake, session_id="tuesday")
    assert [entry["section"] for entry in preview["context"]] == ["history"]
    assert model.embedding_requests == []


async def test_a_preview_is_flagged_if_a_search_fails(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """What could be read is included, and the rest is flagged."""
    await keepsake.chat(BIKE, session_id="monday")
    cosmos.faults.add(
        Fault(kind="query", status=503, times=99, match=lambda request: b"@word0" in request.body)
    )
    preview = await read_preview(keepsake)
    assert preview["degraded"] == ["recall"]
    assert [entry["why"] for entry in preview["context"]] == ["found by meaning (rank 1)"]


async def test_a_preview_without_cosmos_is_503(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """Preferences cannot be left out, so without Cosmos DB there is no preview."""
    cosmos.faults.add(Fault(kind="read", status=503, times=99))
    async with keepsake.client() as client:
        answer = await client.post("/context", json={"message": ASKED})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"message": ""}, 400),
        ({"message": "x" * 32_769}, 413),
        ({"message": "Hi", "user_id": "ben"}, 400),
        ({"message": "Hi", "session_id": "a/b"}, 400),
        ({"message": "Hi", "budget_tokens": -1}, 400),
        ({"message": "Hi", "budget_tokens": 16_001}, 400),
        ({"message": "Hi\u0000"}, 400),
    ],
)
async def test_invalid_input_is_refused(
    keepsake: Keepsake, body: dict[str, Any], status: int
) -> None:
    """Invalid input is a 4xx that names the limit."""
    async with keepsake.client() as client:
        assert (await client.post("/context", json=body)).status_code == status


async def test_a_preview_has_no_more_history_than_a_turn(keepsake: Keepsake) -> None:
    """However much the caller asks for, the window ends at 64 KB."""
    for letter in "abc":
        await keepsake.chat(letter * 15_000)
    preview = await read_preview(keepsake, "Yes", session_id="s", history_tokens=200_000)
    assert [message["content"][0] for message in preview["messages"]] == ["b", "Y", "c", "Y", "Y"]


async def test_a_preview_has_no_history_from_before_a_gap(
    keepsake: Keepsake, model: ModelServer, cosmos: LocalCosmos
) -> None:
    """Turns before an expired one are left out: they would seem to precede its answer."""
    await keepsake.chat("Long ago")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
        await keepsake.chat("Off the record")
        await client.put("/preferences", json={"memory_enabled": True})
    await keepsake.chat("On it again")
    cosmos.clock.advance(3700)
    preview = await read_preview(keepsake, "Yes", session_id="s")
    await keepsake.chat("Yes")
    assert preview["messages"] == model.requests[-1]["messages"][1:]
    assert [message["content"][:5] for message in preview["messages"]] == ["On it", "You s", "Yes"]


async def test_a_preview_without_its_window_is_flagged(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """If the newest turn has expired there is no history, and the missing parts are flagged."""
    await keepsake.chat("Kept")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
        await keepsake.chat("Off the record")
        await client.put("/preferences", json={"memory_enabled": True})
    cosmos.clock.advance(3700)
    model.embedding_script.append(Behaviour(status=503, body="{}"))
    preview = await read_preview(keepsake, session_id="s")
    assert (preview["degraded"], len(preview["messages"])) == (["window", "recall_semantic"], 1)
