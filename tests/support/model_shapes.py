"""Answers in the shapes that real providers were seen to send, by name."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from local.model import Behaviour

CALL = {"name": "look_up", "arguments": '{"id": 7}'}


def whole(message: Any, finish_reason: str | None = "stop", **more: Any) -> Behaviour:
    """A completion with this message."""
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return Behaviour(body=json.dumps({"id": "c", "choices": [choice], **more}))


def streamed(*chunks: Any) -> Behaviour:
    """A stream of these chunks, each a whole JSON value; text is sent as it is."""
    lines = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    body = "".join(f"data: {line}\n\n" for line in (*lines, "[DONE]"))
    return Behaviour(body=body, headers={"content-type": "text/event-stream"})


def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """One chunk with these fields of its delta."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


END = delta("stop")


def calls(*given: Mapping[str, Any]) -> dict[str, Any]:
    """One chunk with these deltas of tool calls."""
    return delta(tool_calls=list(given))


ANSWERS_HELLO: Mapping[str, Behaviour] = {  # each says "Hello there"
    "content in parts": whole({"content": [{"type": "text", "text": "Hello "}, "there"]}),
    "content an object": whole({"content": {"type": "text", "text": "Hello there"}}),
    "usage missing": whole({"content": "Hello there"}),
    "usage null": whole({"content": "Hello there"}, usage=None),
    "usage as text": whole({"content": "Hello there"}, usage={"prompt_tokens": "7"}),
    "usage nonsense": whole({"content": "Hello there"}, usage=["?"]),
    "tool calls null": whole({"content": "Hello there", "tool_calls": None}),
    "tool calls nonsense": whole({"content": "Hello there", "tool_calls": ["?", None]}),
    "finish reason null": whole({"content": "Hello there"}, None),
    "fields nobody knows": whole({"content": "Hello there", "audio": {}, "x": [1]}, logprobs={}),
    "thinking first": whole({"content": "<think>\nHm.\n</think>\n\nHello there"}),
    "reasoning beside": whole({"content": "Hello there", "reasoning_content": "Hm."}),
}

STREAMS_HELLO: Mapping[str, Behaviour] = {  # each says "Hello there"
    "filter chunk without delta": streamed(
        {"choices": [{"index": 0, "content_filter_results": {}}]},
        delta(content="Hello "),
        {"choices": [{"index": 0, "delta": None}]},
        delta(content="there"),
        END,
        {"choices": [{"index": 0, "content_filter_offsets": {}}]},
    ),
    "chunks without choices": streamed(
        {"choices": []}, {}, {"choices": None}, delta(content="Hello there"), END, {"usage": None}
    ),
    "chunks that are no objects": streamed(None, [], "7", delta(content="Hello there"), END),
    "content in parts": streamed(delta(content=[{"text": "Hello "}, {"text": "there"}]), END),
    "content null": streamed(
        delta(role="assistant", content=None), delta(content="Hello there"), END
    ),
    "thinking first": streamed(
        delta(content="<thi"), delta(content="nk>Hm."), delta(content=" </think>\nHello "),
        delta(content="there"), END,
    ),
    "reasoning first": streamed(
        delta(reasoning_content="Hm."), delta(content="Hello there"), END
    ),
    "usage as text": streamed(
        delta(content="Hello there"), END, {"choices": [], "usage": {"prompt_tokens": "7"}}
    ),
}  # fmt: skip

CALLS: Mapping[str, tuple[Behaviour, Sequence[str]]] = {  # the arguments that each calls with
    "arguments an object": (
        whole({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"id": 7}}}]}),
        ['{"id": 7}'],
    ),
    "arguments null": (
        whole({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": None}}]}),
        ["{}"],
    ),
    "id missing": (whole({"tool_calls": [{"function": CALL}]}), ['{"id": 7}']),
    "ids empty": (whole({"tool_calls": [{"id": "", "function": CALL}] * 2}), ['{"id": 7}'] * 2),
    "id of 5,000 characters": (
        whole({"tool_calls": [{"id": "x" * 5000, "function": CALL}]}),
        ['{"id": 7}'],
    ),
    "twenty calls": (
        whole({"tool_calls": [{"id": f"c{n}", "function": CALL} for n in range(20)]}),
        ['{"id": 7}'] * 20,
    ),
    "a new id at the same index": (
        streamed(
            calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"n": 1}'}}),
            calls({"index": 0, "id": "b", "function": {"name": "f", "arguments": '{"n": 2}'}}),
            delta("tool_calls"),
        ),
        ['{"n": 1}', '{"n": 2}'],
    ),
    "no index": (
        streamed(
            calls({"id": "a", "function": {"name": "f", "arguments": '{"n"'}}),
            calls({"function": {"arguments": ": 1}"}}),
            calls({"id": "b", "function": {"name": "f", "arguments": "{}"}}),
            delta("tool_calls"),
        ),
        ['{"n": 1}', "{}"],
    ),
    "id and name in every chunk": (
        streamed(
            calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"n"'}}),
            calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": ": 1}"}}),
            delta("tool_calls"),
        ),
        ['{"n": 1}'],
    ),
}
