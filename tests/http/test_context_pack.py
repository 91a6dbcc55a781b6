"""POST /context: what a turn would be given, for models that are asked elsewhere."""

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


async def pack(
    keepsake: Keepsake, message: str = ASKED, *, user: str = "ada", **fields: Any
) -> dict[str, Any]:
    """The pack for a message."""
    async with keepsake.client(user) as client:
        answer = await client.post("/context", json={"message": message} | fields)
    packed: dict[str, Any] = answer.raise_for_status().json()
    return packed


async def test_a_pack_is_what_a_turn_is_given(keepsake: Keepsake, model: ModelServer) -> None:
    """The same messages in the same order, but for the system's, and the same reasons."""
    async with keepsake.client() as client:
        await client.patch("/preferences", json={"preferences": {"tone": "short"}})
    await keepsake.chat(BIKE, session_id="monday")
    await keepsake.chat("Hello", session_id="tuesday")
    packed = await pack(keepsake, session_id="tuesday")
    turn = (await keepsake.chat(ASKED, session_id="tuesday")).json()
    assert packed["messages"] == model.requests[-1]["messages"][1:]
    told = [
        {name: value for name, value in entry.items() if name != "tokens"}
        for entry in packed["context"]
    ]
    assert told == turn["context"]
    assert [entry["section"] for entry in told] == ["preferences", "history", "recalled_turns"]


async def test_a_pack_says_how_long_it_is(keepsake: Keepsake) -> None:
    """Tokens of every entry that has a text, and of all messages."""
    await keepsake.chat(BIKE, session_id="monday")
    packed = await pack(keepsake)
    assert [entry["tokens"] > 10 for entry in packed["context"]] == [True]
    assert packed["tokens"] > sum(entry["tokens"] for entry in packed["context"])
    assert (await pack(keepsake, budget_tokens=10))["context"] == []


async def test_a_pack_counts_tool_calls(keepsake: Keepsake) -> None:
    """They are sent, too."""
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
    assert (await pack(keepsake, "Hello", session_id="s"))["tokens"] > 200


async def test_a_pack_changes_nothing(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """No session begins, nothing is stored, no chat model is asked."""
    before = cosmos.rows("memory")
    packed = await pack(keepsake, session_id="never")
    assert packed["messages"] == [{"role": "user", "content": ASKED}]
    assert (cosmos.rows("memory"), model.requests) == (before, [])


async def test_a_pack_has_nothing_from_before_an_erase_f37(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Also where its session never began: then the user's own epoch counts."""
    await keepsake.chat(BIKE, session_id="monday")
    await bump_epoch(cosmos, "ada")
    assert (await pack(keepsake, session_id="never"))["context"] == []
    await keepsake.chat(f"{BIKE} today", session_id="tuesday", turn_id="new")
    assert [entry["id"] for entry in (await pack(keepsake, session_id="never"))["context"]] == [
        "new"
    ]


async def test_a_pack_is_of_its_user_only_f33(keepsake: Keepsake) -> None:
    """Another user's session and turns are as if they never were."""
    await keepsake.chat(BIKE, session_id="monday")
    foreign = await pack(keepsake, user=BEN, session_id="monday")
    missing = await pack(keepsake, user=BEN, session_id="never")
    assert foreign == missing
    assert foreign["context"] == []


async def test_with_memory_off_a_pack_is_the_history(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Switched off by the user, nothing is searched for."""
    await keepsake.chat(BIKE, session_id="monday")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
    await keepsake.chat("Hello", session_id="tuesday")
    model.embedding_requests.clear()
    packed = await pack(keepsake, session_id="tuesday")
    assert [entry["section"] for entry in packed["context"]] == ["history"]
    assert model.embedding_requests == []


async def test_a_pack_whose_search_fails_says_so(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """What could be read is packed, and the rest is flagged."""
    await keepsake.chat(BIKE, session_id="monday")
    cosmos.faults.add(
        Fault(kind="query", status=503, times=99, match=lambda request: b"@word0" in request.body)
    )
    packed = await pack(keepsake)
    assert packed["degraded"] == ["recall"]
    assert [entry["why"] for entry in packed["context"]] == ["found by meaning (rank 1)"]


async def test_a_pack_without_the_store_is_503(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """What is known of the user cannot be left out."""
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
async def test_nonsense_is_refused(keepsake: Keepsake, body: dict[str, Any], status: int) -> None:
    """As everywhere: 4xx that name the limit."""
    async with keepsake.client() as client:
        assert (await client.post("/context", json=body)).status_code == status


async def test_a_pack_has_no_more_history_than_a_turn(keepsake: Keepsake) -> None:
    """However much is asked for, the window ends at 64 KB."""
    for letter in "abc":
        await keepsake.chat(letter * 15_000)
    packed = await pack(keepsake, "Yes", session_id="s", history_tokens=200_000)
    assert [message["content"][0] for message in packed["messages"]] == ["b", "Y", "c", "Y", "Y"]


async def test_a_pack_has_nothing_from_below_a_gap(
    keepsake: Keepsake, model: ModelServer, cosmos: LocalCosmos
) -> None:
    """What was said before a turn that has expired is no history: it would seem to be what that turn answered."""
    await keepsake.chat("Long ago")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
        await keepsake.chat("Off the record")
        await client.put("/preferences", json={"memory_enabled": True})
    await keepsake.chat("On it again")
    cosmos.clock.advance(3700)
    packed = await pack(keepsake, "Yes", session_id="s")
    await keepsake.chat("Yes")
    assert packed["messages"] == model.requests[-1]["messages"][1:]
    assert [message["content"][:5] for message in packed["messages"]] == ["On it", "You s", "Yes"]


async def test_a_pack_without_its_window_says_so(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """The newest turn has expired: there is no history, as a turn would say; beside what else is missing."""
    await keepsake.chat("Kept")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
        await keepsake.chat("Off the record")
        await client.put("/preferences", json={"memory_enabled": True})
    cosmos.clock.advance(3700)
    model.embedding_script.append(Behaviour(status=503, body="{}"))
    packed = await pack(keepsake, session_id="s")
    assert (packed["degraded"], len(packed["messages"])) == (["window", "recall_semantic"], 1)
