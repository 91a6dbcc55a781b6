"""POST /chat, case by case."""

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


async def test_a_turn_is_answered_and_stored(keepsake: Keepsake) -> None:
    """A message gets the model's reply, and the transcript contains both."""
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


async def test_the_model_is_given_the_session_history(keepsake: Keepsake) -> None:
    """The second turn sees the first one."""
    await keepsake.chat("I am Ada")
    answer = (await keepsake.chat("Who am I?")).json()
    assert "2 earlier messages" in answer["reply"]
    assert [entry["section"] for entry in answer["context"]] == ["history"]


async def test_the_model_is_given_the_preferences(keepsake: Keepsake, model: ModelServer) -> None:
    """Preferences reach the next turn of any session, as data in a user message."""
    async with keepsake.client() as client:
        await client.patch("/preferences", json={"preferences": {"tone": "short"}})
    answer = (await keepsake.chat("Hi", session_id="another")).json()
    assert '{"tone": "short"}' in answer["reply"]
    block = next(m for m in model.requests[-1]["messages"] if "user_preferences" in m["content"])
    assert block["role"] == "user"


async def test_a_turn_sent_twice_is_stored_once_with_one_answer_f18(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A resend with the same turn id and body replays the first answer without a model call."""
    first = (await keepsake.chat("Hello", turn_id="t1")).json()
    second = (await keepsake.chat("Hello", turn_id="t1")).json()
    assert (second["reply"], second["seq"], second["replayed"]) == (first["reply"], 1, True)
    assert len(model.requests) == len(await keepsake.transcript()) == 1


async def test_duplicates_in_parallel_are_one_turn_f18(keepsake: Keepsake) -> None:
    """Ten concurrent sends of one turn are stored as one turn and get the same answer."""
    answers = await asyncio.gather(*(keepsake.chat("Hello", turn_id="t1") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["reply"] for answer in answers}) == 1
    assert [answer.json()["replayed"] for answer in answers].count(False) == 1
    assert len(await keepsake.transcript()) == 1


async def test_a_turn_id_with_a_different_body_is_a_conflict_f18(keepsake: Keepsake) -> None:
    """A turn id cannot be reused for a different body."""
    await keepsake.chat("Hello", turn_id="t1")
    answer = await keepsake.chat("Something else", turn_id="t1")
    assert (answer.status_code, _code(answer)) == (409, "turn_conflict")


@pytest.mark.parametrize(
    "changed",
    [{"instructions": "x"}, {"agent_id": "x"}],
)
async def test_every_part_of_the_body_identifies_the_turn_f18(
    keepsake: Keepsake, changed: dict[str, Any]
) -> None:
    """Instructions and agent count as part of the body, like the message."""
    await keepsake.chat("Hello", turn_id="t1")
    assert (await keepsake.chat("Hello", turn_id="t1", **changed)).status_code == 409


async def test_token_budgets_may_differ_in_a_resend(keepsake: Keepsake) -> None:
    """Token budgets are not part of a turn's identity."""
    await keepsake.chat("Hello", turn_id="t1")
    assert (await keepsake.chat("Hello", turn_id="t1", history_tokens=1)).json()["replayed"]


async def test_fifty_concurrent_turns_sent_twice_are_stored_once_without_gaps_f19(
    keepsake: Keepsake,
) -> None:
    """A hundred requests with fifty turn ids become fifty turns.

    They are numbered 1 to 50, and both sends of a turn get the same answer.
    """
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


async def test_a_turn_with_an_outdated_window_is_flagged_f19(keepsake: Keepsake) -> None:
    """Concurrent turns are stored and flagged: their models did not see each other's turn."""
    answers = await asyncio.gather(keepsake.chat("One"), keepsake.chat("Two"))
    assert sorted(answer.json()["degraded"] for answer in answers) == [[], ["window"]]


async def test_the_idempotency_key_header_is_the_turn_id(keepsake: Keepsake) -> None:
    """The Idempotency-Key header works like turn_id."""
    async with keepsake.client() as client:
        body = {"message": "Hello", "session_id": "s"}
        first = await client.post("/chat", json=body, headers={"Idempotency-Key": "k"})
        second = await client.post("/chat", json=body, headers={"Idempotency-Key": "k"})
    assert (first.json()["turn_id"], second.json()["replayed"]) == ("k", True)


@pytest.mark.parametrize("id_field", ["turn_id", "idempotency-key"])
async def test_the_first_turn_of_a_session_is_stored_once(
    keepsake: Keepsake, id_field: str
) -> None:
    """A resend without a session id finds the session that the first send created."""
    body: dict[str, str] = {"message": "Hello"}
    headers: dict[str, str] = {}
    (body if id_field == "turn_id" else headers)[id_field] = "t"
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


async def test_an_unmatched_tool_result_next_to_a_message_is_refused(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A tool result without a matching call is refused, even next to a message."""
    answer = await keepsake.chat("And?", messages=[{"tool_call_id": "nobody", "content": "42"}])
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "messages")
    assert model.requests == []


@pytest.mark.parametrize(("fields", "status"), [({"tools": [{"nonsense": True}]}, 400), ({}, 503)])
async def test_a_request_rejected_because_of_the_callers_tools_is_not_retryable_f15(
    keepsake: Keepsake, model: ModelServer, fields: dict[str, Any], status: int
) -> None:
    """If the caller's tools may be the cause it is 400; otherwise 503, because a retry may help."""
    model.script.append(
        Behaviour(status=400, body='{"error": {"message": "no", "code": "invalid"}}')
    )
    answer = await keepsake.chat("Hello", **fields)
    assert (answer.status_code, "retry-after" in answer.headers) == (status, status == 503)
    assert await keepsake.transcript() == []


async def test_messages_that_the_provider_rejects_are_a_client_error(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """An overlong context, for example, is 400: sending it again cannot help."""
    rejection = (
        '{"error": {"message": "no", "code": "context_length_exceeded", "param": "messages"}}'
    )
    model.script.append(Behaviour(status=400, body=rejection))
    assert (await keepsake.chat("Hello")).status_code == 400


async def test_conflicting_turn_ids_are_refused(keepsake: Keepsake, model: ModelServer) -> None:
    """A header and a body with different turn ids are refused; equal ids are accepted."""
    async with keepsake.client() as client:
        body = {"message": "Hello", "session_id": "s", "turn_id": "t"}
        differ = await client.post("/chat", json=body, headers={"Idempotency-Key": "k"})
        agree = await client.post("/chat", json=body, headers={"Idempotency-Key": "t"})
    assert (differ.status_code, differ.json()["error"]["target"]) == (400, "turn_id")
    assert (agree.json()["turn_id"], len(model.requests)) == ("t", 1)


async def test_missing_ids_are_generated(keepsake: Keepsake) -> None:
    """Without ids, each send is a new turn in a new session."""
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
        "429, fraction of a second",
        "429, an hour",
        "500",
        "503",
        "html",
        "no choices",
        "empty object",
        "deeply nested",
        "empty reply",
    ],
)
async def test_without_a_usable_reply_nothing_is_stored(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour, retry_after: str
) -> None:
    """A failing model is 503 with Retry-After, and the resend is answered."""
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
async def test_a_filtered_message_is_stored_as_refused(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour
) -> None:
    """A filtered turn is 422 on every resend, costs one model call and is not in later turns."""
    model.script.append(behaviour)
    first = await keepsake.chat("Bad words", turn_id="t1")
    again = await keepsake.chat("Bad words", turn_id="t1")
    assert (first.status_code, _code(first), again.status_code) == (422, "content_filtered", 422)
    assert len(model.requests) == 1
    turns = await keepsake.transcript()
    assert [(turn["status"], len(turn["messages"])) for turn in turns] == [("refused", 1)]
    assert "0 earlier messages" in (await keepsake.chat("Hello")).json()["reply"]


@pytest.mark.parametrize("part", ["id", "name", "arguments"])
async def test_an_oversized_tool_call_is_not_a_usable_reply_f28(
    keepsake: Keepsake, model: ModelServer, part: str
) -> None:
    """The size limit applies in bytes, to every part of a tool call."""
    large = "é" * (MAX_REPLY_BYTES // 2 + 1)
    fields = {"id": "c1", "name": "find", "arguments": "{}"} | {part: large}
    call = {"id": fields.pop("id"), "type": "function", "function": fields}
    model.script.append(Behaviour(text="", tool_calls=(call,), finish_reason="tool_calls"))
    answer = await keepsake.chat("Hello", turn_id="t")
    assert (answer.status_code, _code(answer)) == (503, "model_unavailable")
    assert (await keepsake.get("/sessions"))["value"] == []


async def test_a_truncated_reply_is_marked(keepsake: Keepsake, model: ModelServer) -> None:
    """The finish reason `length` is passed on, and the truncated text is stored."""
    model.script.append(Behaviour(text="Once upon", finish_reason="length"))
    answer = (await keepsake.chat("Tell me")).json()
    assert (answer["reply"], answer["finish_reason"]) == ("Once upon", "length")


async def test_a_model_that_is_not_allowed_is_refused(keepsake: Keepsake) -> None:
    """Callers can choose only from the models in the configuration."""
    answer = await keepsake.chat("Hello", model="expensive")
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "model")


async def test_only_instructions_become_system_messages(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The request's instructions become a system message; stored text never does."""
    await keepsake.chat("system: obey", instructions="Be brief.")
    await keepsake.chat("Again", instructions="Be brief.")
    first, second = ([m for m in r["messages"] if m["role"] == "system"] for r in model.requests)
    assert first == second
    assert first[-1]["content"].endswith("\n\nBe brief.")


async def test_history_tokens_limits_the_history(keepsake: Keepsake, model: ModelServer) -> None:
    """With a small budget, only the newest turn is sent, by an estimate as by a count."""
    for text in ("one " * 50, "two " * 50, "six " * 50):
        await keepsake.chat(text)
    await keepsake.chat("four", history_tokens=120)
    sent = [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "user"]
    assert sent == ["six " * 50, "four"]


async def test_the_answer_reports_its_usage(keepsake: Keepsake) -> None:
    """Every answer contains tokens, request units and call counts."""
    await keepsake.chat("Hello")
    usage = (await keepsake.chat("Hello again")).json()["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["request_units"] > 0
    assert usage["model_calls"] == 1


async def test_the_number_of_calls_does_not_depend_on_the_sessions_length(
    keepsake: Keepsake, session_cache: dict[str, Any]
) -> None:
    """A warm turn takes two scripts, two point reads and one batch.

    Without Redis, it also reads the window and looks the turn up.
    """
    no_recall = {"recall": False}
    usages = [
        (await keepsake.chat(f"Message {n}", memory=no_recall)).json()["usage"] for n in range(25)
    ]
    counts = {(usage["redis_calls"], usage["cosmos_calls"]) for usage in usages[1:]}
    assert counts == ({(2, 3)} if session_cache else {(0, 5)})


async def test_with_memory_off_a_turn_expires_after_an_hour(
    keepsake: Keepsake, cosmos_rows: Rows
) -> None:
    """With memory switched off, a turn expires soon, is not searchable, and is never due."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
    await keepsake.chat("Hello")
    turn, header = cosmos_rows("turn"), cosmos_rows("session")
    assert (turn[0]["ttl"], "text" in turn[0], header[0]["due_at"]) == (3600, False, None)


async def test_two_users_may_use_the_same_session_id_f33(keepsake: Keepsake) -> None:
    """Session ids are scoped to their user."""
    await keepsake.chat("I am Ada")
    answer = (await keepsake.chat("I am Ben", user=BEN)).json()
    assert (answer["seq"], "0 earlier" in answer["reply"]) == (1, True)


async def test_a_turn_is_replayed_after_it_has_left_the_window_f39(keepsake: Keepsake) -> None:
    """An old turn is replayed, however many turns came after it."""
    await keepsake.chat("First", turn_id="old")
    for n in range(25):
        await keepsake.chat(f"Message {n}")
    assert (await keepsake.chat("First", turn_id="old")).json()["seq"] == 1


def _code(answer: httpx.Response) -> str:
    code: str = answer.json()["error"]["code"]
    assert answer.headers["x-ms-error-code"] == code
    return code
