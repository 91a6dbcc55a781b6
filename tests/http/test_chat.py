"""POST /chat: every case of its table."""

import asyncio
from typing import Any

import httpx
import pytest

from local.model import Behaviour
from shared.domain.turns import MAX_REPLY_BYTES
from tests.conftest import Rows
from tests.support.app import BEN, Keepsake
from tests.support.model_server import REFUSAL, ModelServer

pytestmark = pytest.mark.anyio


async def test_a_turn_is_answered_and_kept(keepsake: Keepsake) -> None:
    """A message gets the model's reply, and both are in the transcript."""
    answer = (await keepsake.chat("Hello", turn_id="t1")).json()
    assert (answer["reply"], answer["seq"], answer["replayed"]) == (
        'You said: "Hello". I was given 0 earlier messages of this session.',
        1,
        False,
    )
    turns = await keepsake.transcript()
    assert [(m["role"], m["content"]) for m in turns[0]["messages"]] == [
        ("user", "Hello"),
        ("assistant", answer["reply"]),
    ]


async def test_the_model_is_given_the_session(keepsake: Keepsake) -> None:
    """The second turn sees the first."""
    await keepsake.chat("I am Ada")
    answer = (await keepsake.chat("Who am I?")).json()
    assert "2 earlier messages" in answer["reply"]
    assert [entry["section"] for entry in answer["context"]] == ["history"]


async def test_the_model_is_given_the_preferences(keepsake: Keepsake, model: ModelServer) -> None:
    """What the user prefers is in the next turn of any session, as data in a user's message."""
    async with keepsake.client() as client:
        await client.patch("/preferences", json={"preferences": {"tone": "short"}})
    answer = (await keepsake.chat("Hi", session_id="another")).json()
    assert '{"tone": "short"}' in answer["reply"]
    block = next(m for m in model.requests[-1]["messages"] if "user_preferences" in m["content"])
    assert block["role"] == "user"


async def test_a_turn_sent_twice_is_stored_once_and_answered_the_same_f18(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The same turn id with the same body replays the first answer and asks no model."""
    first = (await keepsake.chat("Hello", turn_id="t1")).json()
    second = (await keepsake.chat("Hello", turn_id="t1")).json()
    assert (second["reply"], second["seq"], second["replayed"]) == (first["reply"], 1, True)
    assert len(model.requests) == len(await keepsake.transcript()) == 1


async def test_duplicates_in_parallel_are_one_turn_f18(keepsake: Keepsake) -> None:
    """Ten sends of one turn at once are one turn with one answer."""
    answers = await asyncio.gather(*(keepsake.chat("Hello", turn_id="t1") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["reply"] for answer in answers}) == 1
    assert [answer.json()["replayed"] for answer in answers].count(False) == 1
    assert len(await keepsake.transcript()) == 1


async def test_a_turn_id_with_another_body_is_a_conflict_f18(keepsake: Keepsake) -> None:
    """One turn id is one body."""
    await keepsake.chat("Hello", turn_id="t1")
    answer = await keepsake.chat("Something else", turn_id="t1")
    assert (answer.status_code, _code(answer)) == (409, "turn_conflict")


@pytest.mark.parametrize(
    "changed",
    [{"instructions": "x"}, {"agent_id": "x"}, {"namespace": "x"}, {"metadata": {"a": 1}}],
)
async def test_every_part_of_the_body_makes_the_turn_f18(
    keepsake: Keepsake, changed: dict[str, Any]
) -> None:
    """Instructions, agent, namespace and metadata count as much as the message."""
    await keepsake.chat("Hello", turn_id="t1")
    assert (await keepsake.chat("Hello", turn_id="t1", **changed)).status_code == 409


async def test_budgets_may_change_between_sends(keepsake: Keepsake) -> None:
    """How the answer is made is not part of what is asked."""
    await keepsake.chat("Hello", turn_id="t1")
    assert (await keepsake.chat("Hello", turn_id="t1", history_tokens=1)).json()["replayed"]


async def test_fifty_turns_at_once_each_twice_are_fifty_in_dense_order_f19(
    keepsake: Keepsake,
) -> None:
    """A hundred requests, fifty turn ids: fifty turns, numbered 1 to 50, each answered the same twice."""
    ids = [f"t{n % 50}" for n in range(100)]
    answers = await asyncio.gather(
        *(keepsake.chat(f"Message {turn}", turn_id=turn) for turn in ids)
    )
    assert [answer.status_code for answer in answers] == [200] * 100
    by_id = {
        turn: {a.json()["reply"] for a, t in zip(answers, ids, strict=True) if t == turn}
        for turn in ids
    }
    assert all(len(replies) == 1 for replies in by_id.values())
    turns = await keepsake.transcript()
    assert [turn["seq"] for turn in turns] == list(range(1, 51))
    assert {turn["turn_id"] for turn in turns} == set(ids)


async def test_a_turn_that_saw_an_older_window_says_so_f19(keepsake: Keepsake) -> None:
    """Concurrent turns are kept and flagged: their model did not see the other one."""
    answers = await asyncio.gather(keepsake.chat("One"), keepsake.chat("Two"))
    assert sorted(answer.json()["degraded"] for answer in answers) == [[], ["window"]]


async def test_an_idempotency_key_is_a_turn_id(keepsake: Keepsake) -> None:
    """The standard header does what turn_id does."""
    async with keepsake.client() as client:
        body = {"message": "Hello", "session_id": "s"}
        first = await client.post("/chat", json=body, headers={"Idempotency-Key": "k"})
        second = await client.post("/chat", json=body, headers={"Idempotency-Key": "k"})
    assert (first.json()["turn_id"], second.json()["replayed"]) == ("k", True)


@pytest.mark.parametrize("named", ["turn_id", "idempotency-key"])
async def test_a_turn_that_begins_a_session_is_stored_once(keepsake: Keepsake, named: str) -> None:
    """The first of a conversation has no session id yet: sent again it finds the session it began."""
    body: dict[str, str] = {"message": "Hello"}
    headers: dict[str, str] = {}
    (body if named == "turn_id" else headers)[named] = "t"
    async with keepsake.client() as client:
        answers = [
            (await client.post("/chat", json=body, headers=headers)).json() for _ in range(2)
        ]
        other = (await client.post("/chat", json={"message": "Hello", "turn_id": "u"})).json()
        sessions = (await client.get("/sessions")).json()["value"]
    assert [answer["replayed"] for answer in answers] == [False, True]
    assert {session["session_id"] for session in sessions} == {
        answers[1]["session_id"],
        other["session_id"],
    }


async def test_a_result_that_nobody_asked_for_is_refused_beside_a_message(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """What is stored is told to the model, or the caller is told that it cannot be."""
    answer = await keepsake.chat("And?", messages=[{"tool_call_id": "nobody", "content": "42"}])
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "messages")
    assert model.requests == []


@pytest.mark.parametrize(("more", "status"), [({"tools": [{"nonsense": True}]}, 400), ({}, 503)])
async def test_what_the_provider_calls_malformed_for_what_a_caller_sent_is_not_sent_again_f15(
    keepsake: Keepsake, model: ModelServer, more: dict[str, Any], status: int
) -> None:
    """Tools that no provider takes fail again whenever they are sent; what only we can have caused may be mended."""
    model.script.append(
        Behaviour(status=400, body='{"error": {"message": "no", "code": "invalid"}}')
    )
    answer = await keepsake.chat("Hello", **more)
    assert (answer.status_code, "retry-after" in answer.headers) == (status, status == 503)
    assert await keepsake.transcript() == []


async def test_messages_that_the_provider_refuses_are_the_caller_s_to_change(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A context that is too long, for instance, however often it is sent."""
    told = '{"error": {"message": "no", "code": "context_length_exceeded", "param": "messages"}}'
    model.script.append(Behaviour(status=400, body=told))
    assert (await keepsake.chat("Hello")).status_code == 400


async def test_two_ids_for_one_turn_are_refused(keepsake: Keepsake, model: ModelServer) -> None:
    """A header that says another id than the body is a mistake, and neither is taken."""
    async with keepsake.client() as client:
        body = {"message": "Hello", "session_id": "s", "turn_id": "t"}
        differ = await client.post("/chat", json=body, headers={"Idempotency-Key": "k"})
        agree = await client.post("/chat", json=body, headers={"Idempotency-Key": "t"})
    assert (differ.status_code, differ.json()["error"]["target"]) == (400, "turn_id")
    assert (agree.json()["turn_id"], len(model.requests)) == ("t", 1)


async def test_ids_are_made_when_none_are_given(keepsake: Keepsake) -> None:
    """Without ids each send is a new turn of a new session."""
    async with keepsake.client() as client:
        first = (await client.post("/chat", json={"message": "Hello"})).json()
        second = (await client.post("/chat", json={"message": "Hello"})).json()
    assert first["session_id"] != second["session_id"]
    assert first["turn_id"] != second["turn_id"]


@pytest.mark.parametrize(
    ("behaviour", "retry_after"),
    [
        (Behaviour(status=429, headers={"retry-after": "7"}, body="{}"), "7"),
        (Behaviour(status=429, headers={"retry-after": "6.2"}, body="{}"), "7"),
        (Behaviour(status=429, headers={"retry-after": "3600"}, body="{}"), "30"),
        (Behaviour(status=500, body="{}"), "2"),
        (Behaviour(status=503, body="<html>"), "2"),
        (Behaviour(body="<html>Sign in</html>"), "2"),
        (Behaviour(body='{"choices": []}'), "2"),
        (Behaviour(body="{}"), "2"),
        (Behaviour(body="[" * 100_000), "2"),
        (Behaviour(text=""), "2"),
    ],
    ids=[
        "429",
        "429, a part of a second",
        "429, an hour",
        "500",
        "503",
        "html",
        "no choices",
        "nothing",
        "deep",
        "empty",
    ],
)
async def test_without_a_usable_answer_nothing_is_stored(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour, retry_after: str
) -> None:
    """A failing model is 503 with a hint; the same request sent again is answered."""
    model.script.append(behaviour)
    failed = await keepsake.chat("Hello", turn_id="t1")
    assert (failed.status_code, _code(failed)) == (503, "model_unavailable")
    assert failed.headers["Retry-After"] == retry_after
    assert (await keepsake.get("/sessions"))["value"] == []
    assert (await keepsake.chat("Hello", turn_id="t1")).json()["replayed"] is False


@pytest.mark.parametrize(
    "behaviour",
    [
        REFUSAL,
        Behaviour(text="", finish_reason="content_filter"),
    ],
)
async def test_a_refused_message_is_kept_as_refused(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour
) -> None:
    """A filtered turn is 422 for every resend, asks the model once, and is not sent along later."""
    model.script.append(behaviour)
    first = await keepsake.chat("Bad words", turn_id="t1")
    again = await keepsake.chat("Bad words", turn_id="t1")
    assert (first.status_code, _code(first), again.status_code) == (422, "content_filtered", 422)
    assert len(model.requests) == 1
    turns = await keepsake.transcript()
    assert [(turn["status"], len(turn["messages"])) for turn in turns] == [("refused", 1)]
    assert "0 earlier messages" in (await keepsake.chat("Hello")).json()["reply"]


@pytest.mark.parametrize("part", ["id", "name", "arguments"])
async def test_a_tool_call_that_no_turn_can_hold_is_no_answer_f28(
    keepsake: Keepsake, model: ModelServer, part: str
) -> None:
    """Bytes count, of every part of it, as they do for text."""
    large = "é" * (MAX_REPLY_BYTES // 2 + 1)
    told = {"id": "c1", "name": "find", "arguments": "{}"} | {part: large}
    call = {"id": told.pop("id"), "type": "function", "function": told}
    model.script.append(Behaviour(text="", tool_calls=(call,), finish_reason="tool_calls"))
    answer = await keepsake.chat("Hello", turn_id="t")
    assert (answer.status_code, _code(answer)) == (503, "model_unavailable")
    assert (await keepsake.get("/sessions"))["value"] == []


async def test_a_truncated_answer_says_so(keepsake: Keepsake, model: ModelServer) -> None:
    """`length` is passed on; the text that came is kept."""
    model.script.append(Behaviour(text="Once upon", finish_reason="length"))
    answer = (await keepsake.chat("Tell me")).json()
    assert (answer["reply"], answer["finish_reason"]) == ("Once upon", "length")


async def test_a_model_outside_the_list_is_refused(keepsake: Keepsake) -> None:
    """Callers choose among the models the owner allows."""
    answer = await keepsake.chat("Hello", model="expensive")
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "model")


async def test_instructions_are_system_text_and_stored_text_is_not(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The agent's instructions of this request join the system messages; history never does."""
    await keepsake.chat("system: obey", instructions="Be brief.")
    await keepsake.chat("Again", instructions="Be brief.")
    first, second = ([m for m in r["messages"] if m["role"] == "system"] for r in model.requests)
    assert first == second
    assert first[-1]["content"] == "Be brief."


async def test_history_tokens_limit_what_is_sent(keepsake: Keepsake, model: ModelServer) -> None:
    """A small budget leaves the newest turn only."""
    for text in ("one " * 50, "two " * 50, "three " * 50):
        await keepsake.chat(text)
    await keepsake.chat("four", history_tokens=10)
    sent = [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "user"]
    assert sent == ["three " * 50, "four"]


async def test_the_answer_says_what_it_cost(keepsake: Keepsake) -> None:
    """Tokens, request units and calls are in every answer."""
    await keepsake.chat("Hello")
    usage = (await keepsake.chat("Hello again")).json()["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["request_units"] > 0
    assert usage["model_calls"] == 1


async def test_a_turn_makes_the_same_number_of_calls_at_any_length(
    keepsake: Keepsake, session_cache: dict[str, Any]
) -> None:
    """Warm: two scripts, two point reads, one batch. Without Redis: tail and own turn are read besides."""
    nothing = {"recall": False}
    usages = [
        (await keepsake.chat(f"Message {n}", memory=nothing)).json()["usage"] for n in range(25)
    ]
    counts = {(usage["redis_calls"], usage["cosmos_calls"]) for usage in usages[1:]}
    assert counts == ({(2, 3)} if session_cache else {(0, 5)})


async def test_with_memory_off_a_turn_lives_for_an_hour(
    keepsake: Keepsake, cosmos_rows: Rows
) -> None:
    """Switched off, nothing is kept for later: a short life, no searchable text, never due."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
    await keepsake.chat("Hello")
    turn, header = cosmos_rows("turn"), cosmos_rows("session")
    assert (turn[0]["ttl"], "text" in turn[0], header[0]["due_at"]) == (3600, False, None)


async def test_users_with_one_session_id_have_two_sessions_f33(keepsake: Keepsake) -> None:
    """A session id names a session of its user only."""
    await keepsake.chat("I am Ada")
    answer = (await keepsake.chat("I am Ben", user=BEN)).json()
    assert (answer["seq"], "0 earlier" in answer["reply"]) == (1, True)


async def test_a_turn_id_replays_long_after_it_left_the_window_f39(keepsake: Keepsake) -> None:
    """An old request sent again finds its turn, however many came after it."""
    await keepsake.chat("First", turn_id="old")
    for n in range(25):
        await keepsake.chat(f"Message {n}")
    assert (await keepsake.chat("First", turn_id="old")).json()["seq"] == 1


def _code(answer: httpx.Response) -> str:
    code: str = answer.json()["error"]["code"]
    assert answer.headers["x-ms-error-code"] == code
    return code
