"""What the strictest providers refuse: every request of every test is held against it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

Message = Mapping[str, Any]


def violations(request: Mapping[str, Any]) -> list[str]:
    """The rules that a chat completion request breaks, in words; empty if it breaks none."""
    messages: Sequence[Message] = request["messages"]
    roles = [message["role"] for message in messages]
    return [
        *_misplaced_system(roles),
        *_not_alternating(roles),
        *_empty(messages),
        *_unpaired(messages),
        *_bad_arguments(messages),
        *(["tool messages without tools"] if "tool" in roles and not request.get("tools") else []),
    ]


def _misplaced_system(roles: Sequence[str]) -> Iterator[str]:
    if "system" in roles[1:]:
        yield "a system message that is not the first message"


def _not_alternating(roles: Sequence[str]) -> Iterator[str]:
    said = [role for role in roles if role != "system"]
    if said and said[0] != "user":
        yield f"the conversation starts with {said[0]}"
    for before, after in pairwise(said):
        if before == after and before != "tool":
            yield f"two {after} messages in a row"


def _empty(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        says_something = message.get("content") or message.get("tool_calls")
        if message["role"] != "tool" and not says_something:
            yield f"an empty {message['role']} message"


def _unpaired(messages: Sequence[Message]) -> Iterator[str]:
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                yield "a tool result without its call"
            else:
                open_calls.remove(message["tool_call_id"])
        elif open_calls:
            yield "a tool call without its result"
            open_calls = []
        open_calls += [call["id"] for call in message.get("tool_calls", ())]


def _bad_arguments(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        for call in message.get("tool_calls", ()):
            try:
                valid = isinstance(json.loads(call["function"]["arguments"]), dict)
            except ValueError:
                valid = False
            if not valid:
                yield "tool arguments that are not a JSON object"
