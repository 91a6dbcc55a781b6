"""Whatever shape a provider's answer has: it is read, or refused with an error that helps (F55)."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from local.model import Behaviour
from tests.support.app import Keepsake
from tests.support.model_server import ModelServer
from tests.support.model_shapes import (
    ANSWERS_HELLO,
    CALLS,
    END,
    STREAMS_HELLO,
    delta,
    streamed,
    whole,
)

pytestmark = pytest.mark.anyio
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
REFUSALS = {
    "whole": whole({"content": None, "refusal": "I will not."}),
    "in pieces": streamed(delta(refusal="I will "), delta(refusal="not."), END),
}


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """The model's answers do not depend on a session cache."""
    return {}


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream."""
    blocks = [block.split("\n", 1) for block in text.strip().split("\n\n")]
    return [(head[7:], json.loads(data[6:])) for head, data in blocks]


def body_of(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages of a request for the model."""
    messages: list[dict[str, Any]] = request["messages"]
    return messages


@pytest.mark.parametrize("shape", ANSWERS_HELLO)
async def test_a_whole_answer_of_any_shape_is_read_f55(
    keepsake: Keepsake, model: ModelServer, shape: str
) -> None:
    """Missing or null counts as absent, and anything extra is ignored."""
    model.script.append(ANSWERS_HELLO[shape])
    answer = await keepsake.chat()
    assert (answer.status_code, answer.json()["reply"]) == (200, "Hello there")


@pytest.mark.parametrize("shape", STREAMS_HELLO)
async def test_a_stream_of_any_shape_is_read_f55(
    keepsake: Keepsake, model: ModelServer, shape: str
) -> None:
    """The deltas add up to the reply that is stored."""
    model.script.append(STREAMS_HELLO[shape])
    events = events_of((await keepsake.chat(stream=True)).text)
    text = "".join(data["text"] for name, data in events if name == "delta")
    assert (text, events[-1][1]["reply"], events[-1][1]["replaced"]) == ("Hello there",) * 2 + (
        False,
    )


async def test_an_emoji_split_across_two_chunks_is_whole_f55(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Half a character is held back until its other half arrives."""
    model.script.append(
        streamed(
            '{"choices": [{"delta": {"content": "Hi \\ud83d"}}]}',
            '{"choices": [{"delta": {"content": "\\ude00!"}}]}',
            END,
        )
    )
    events = events_of((await keepsake.chat(stream=True)).text)
    assert [data["text"] for name, data in events if name == "delta"] == ["Hi ", "😀!"]
    assert events[-1][1]["reply"] == "Hi 😀!"


@pytest.mark.parametrize("shape", CALLS)
async def test_tool_calls_of_any_shape_can_be_answered_f55(
    keepsake: Keepsake, model: ModelServer, shape: str
) -> None:
    """Every id that is handed out is accepted back, and the model gets what it asked for."""
    behaviour, arguments = CALLS[shape]
    model.script.append(behaviour)
    stream = behaviour.headers != {}
    answer = await keepsake.chat(tools=TOOLS, stream=stream)
    done = events_of(answer.text)[-1][1] if stream else answer.json()
    assert [call["function"]["arguments"] for call in done["tool_calls"]] == arguments
    results = [
        {"tool_call_id": call["id"], "content": f"result {n}"}
        for n, call in enumerate(done["tool_calls"])
    ]
    second = await keepsake.chat(message=None, messages=results, tools=TOOLS)
    assert second.status_code == 200, second.text
    sent = [m["content"] for m in body_of(model.requests[-1]) if m["role"] == "tool"]
    assert sent == [result["content"] for result in results]


async def test_a_long_tool_loop_keeps_the_message_that_started_it_f55(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Thirty turns of calls and results: each prompt still has the question."""
    question = "Where are all my orders?"
    call = {"id": "c0", "function": {"name": "f", "arguments": "{}"}}
    model.script.append(whole({"tool_calls": [call]}))
    await keepsake.chat(question, tools=TOOLS)
    for n in range(30):
        model.script.append(whole({"tool_calls": [call | {"id": f"c{n + 1}"}]}))
        results = [{"tool_call_id": f"c{n}", "content": str(n)}]
        answer = await keepsake.chat(message=None, messages=results, tools=TOOLS)
        assert answer.status_code == 200, answer.text
        sent = [str(m["content"]) for m in body_of(model.requests[-1]) if m["role"] == "user"]
        assert sum(question in text for text in sent) == 1


async def test_a_missing_result_is_named_f55(keepsake: Keepsake, model: ModelServer) -> None:
    """Two calls and one result: the error says which one to add, and nothing is stored."""
    model.script.append(whole({"tool_calls": [
        {"id": "one", "function": {"name": "f", "arguments": "{}"}},
        {"id": "two", "function": {"name": "f", "arguments": "{}"}},
    ]}))  # fmt: skip
    await keepsake.chat(tools=TOOLS)
    results = [{"tool_call_id": "one", "content": "1"}]
    answer = await keepsake.chat(message=None, messages=results, tools=TOOLS)
    error = answer.json()["error"]
    assert (answer.status_code, error["target"], "two" in error["message"]) == (
        400,
        "messages",
        True,
    )
    assert len(await keepsake.transcript()) == 1


async def test_the_providers_own_fields_are_sent_back_f55(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Thought signatures and reasoning of tool calls reach the provider again, unchanged."""
    signature = {"google": {"thought_signature": "c2lnbmF0dXJl"}}
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}, "extra_content": signature}
    model.script.append(whole({"reasoning_content": "Look it up.", "tool_calls": [call]}))
    await keepsake.chat(tools=TOOLS)
    results = [{"tool_call_id": "c", "content": "42"}]
    await keepsake.chat(message=None, messages=results, tools=TOOLS)
    (asked,) = [m for m in body_of(model.requests[-1]) if m.get("tool_calls")]
    assert asked["tool_calls"][0]["extra_content"] == signature
    assert asked["reasoning_content"] == "Look it up."


async def test_the_providers_own_id_is_sent_back_f55(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A caller gets an id that it can send; the provider gets its own id again."""
    call = {"id": "x" * 5000, "function": {"name": "f", "arguments": "{}"}}
    model.script.append(whole({"tool_calls": [call]}))
    (handed_out,) = (await keepsake.chat(tools=TOOLS)).json()["tool_calls"]
    results = [{"tool_call_id": handed_out["id"], "content": "42"}]
    await keepsake.chat(message=None, messages=results, tools=TOOLS)
    messages = body_of(model.requests[-1])
    (asked,) = [m for m in messages if m.get("tool_calls")]
    (answered,) = [m for m in messages if m["role"] == "tool"]
    assert len(handed_out["id"]) <= 200
    assert asked["tool_calls"][0]["id"] == answered["tool_call_id"] == "x" * 5000


@pytest.mark.parametrize("shape", REFUSALS)
async def test_a_refusal_is_kept_f16(keepsake: Keepsake, model: ModelServer, shape: str) -> None:
    """A model that refuses in its own words is a 422, and the transcript keeps the words."""
    model.script.append(REFUSALS[shape])
    stream = shape == "in pieces"
    answer = await keepsake.chat(stream=stream, turn_id="t")
    again = await keepsake.chat(turn_id="t")
    assert "content_filtered" in answer.text
    assert (again.status_code, len(model.requests)) == (422, 1)
    (turn,) = await keepsake.transcript()
    assert (turn["status"], turn["messages"][-1]["content"]) == ("refused", "I will not.")


async def test_a_limit_that_leaves_no_answer_is_not_retried_f55(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A model that spends its tokens on thinking gets an error that names the setting."""
    model.script.append(whole({"content": None}, "length"))
    answer = await keepsake.chat()
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "completion_limit")
    assert "MAX_COMPLETION_TOKENS" in error["message"]
    assert "Retry-After" not in answer.headers


async def test_thinking_is_stored_but_not_said_f55(
    keepsake: Keepsake, model: ModelServer, cosmos_rows: Any
) -> None:
    """What a model thinks before it answers is neither in the reply nor found by recall."""
    model.script.append(whole({"content": "<think>Is Mina a cat?</think>Mina is a cat."}))
    answer = (await keepsake.chat()).json()
    (turn,) = cosmos_rows("turn")
    assert answer["reply"] == "Mina is a cat."
    assert turn["messages"][-1]["thinking"] == "Is Mina a cat?"
    assert "Is Mina" not in turn["text"]
    await keepsake.chat()
    assert "Is Mina" not in str(model.requests[-1])


async def test_cached_tokens_are_reported(keepsake: Keepsake, model: ModelServer) -> None:
    """A provider that served part of the prompt from its cache says so, and so does the answer."""
    usage = {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 8}}
    model.script.append(whole({"content": "Hello"}, usage=usage))
    assert (await keepsake.chat()).json()["usage"]["cached_tokens"] == 8


@pytest.mark.parametrize(
    ("parameter", "instead"),
    [("max_completion_tokens", "max_tokens"), ("stream_options", None)],
)
async def test_what_a_provider_lacks_is_learned_once_f55(
    keepsake: Keepsake, model: ModelServer, parameter: str, instead: str | None
) -> None:
    """A parameter that a provider rejects costs one request per worker, and no caller an error."""
    error = {"error": {"message": f"Unknown parameter: {parameter}", "code": "unknown_parameter"}}
    model.script.append(Behaviour(status=400, body=json.dumps(error)))
    answers = [await keepsake.chat(stream=True) for _ in range(2)]
    assert all("event: done" in answer.text for answer in answers)
    sent = [(parameter in request, instead in request) for request in model.requests]
    assert sent == [(True, False), (False, bool(instead)), (False, bool(instead))]
