"""The normaliser: makes the final list of messages one that every provider accepts."""

import json
from collections.abc import Iterator, Sequence

from shared.domain.messages import Message, ToolCall

NO_ARGUMENTS = "{}"
ASSISTANT_STARTS = "[The assistant starts the conversation.]"
OBSOLETE_CALL = "[Called the tool {name} with {arguments}]"
OBSOLETE_RESULT = "[Result of the tool {name}: {content}]"


def normalise(messages: Sequence[Message], *, with_tools: bool) -> tuple[Message, ...]:
    """Make the messages valid for the strictest provider, without losing what they say.

    One system message comes first; then user and assistant alternate, starting with the user.
    Every tool call has its result, its arguments are a JSON object, and no message is empty. A
    request that offers no tools gets earlier calls as text. Idempotent.
    """
    system = [message for message in messages if message.role == "system"]
    others = [message for message in messages if message.role != "system"]
    paired = pair_tools(others)
    rendered = paired if with_tools else tuple(_without_tools(paired))
    return (*_merged(system), *_user_first(_merged(rendered)))


def pair_tools(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Drop tool results without their call, and calls without all results: models refuse both."""
    kept: list[Message] = []
    position = 0
    while position < len(messages):
        message = messages[position]
        results = _results_after(messages, position)
        position += 1 + len(results)
        answers = {result.tool_call_id: result for result in reversed(results)}
        if message.role == "tool":
            continue
        if message.tool_calls and all(call.id in answers for call in message.tool_calls):
            kept.append(message.model_copy(update={"tool_calls": _valid(message.tool_calls)}))
            kept += [answers[call.id] for call in message.tool_calls]
        elif not message.tool_calls and message.content:
            kept.append(message)
        elif message.content:
            kept.append(message.model_copy(update={"tool_calls": ()}))
    return tuple(kept)


def _results_after(messages: Sequence[Message], position: int) -> list[Message]:
    results: list[Message] = []
    if messages[position].role != "assistant":
        return results
    for message in messages[position + 1 :]:
        if message.role != "tool":
            break
        results.append(message)
    return results


def _valid(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """The calls with arguments that are a JSON object; a model may have been cut off in them."""
    return tuple(
        call
        if _is_object(call.function.arguments)
        else call.model_copy(
            update={"function": call.function.model_copy(update={"arguments": NO_ARGUMENTS})}
        )
        for call in calls
    )


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False


def _without_tools(messages: Sequence[Message]) -> Iterator[Message]:
    """Calls and results as text: without `tools` in the request, providers refuse them."""
    names: dict[str | None, str] = {}
    for message in messages:
        if message.role == "tool":
            name = names.get(message.tool_call_id, "")
            text = OBSOLETE_RESULT.format(name=name, content=message.content)
            yield Message(role="user", content=text, at=message.at)
        elif message.tool_calls:
            names |= {call.id: call.function.name for call in message.tool_calls}
            calls = [
                OBSOLETE_CALL.format(name=c.function.name, arguments=c.function.arguments)
                for c in message.tool_calls
            ]
            text = "\n".join(part for part in (message.content, *calls) if part)
            yield Message(role="assistant", content=text, at=message.at)
        else:
            yield message


def _merged(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Merge adjacent messages of one role, separated by a blank line.

    If their names differ, the result has no name, and each text starts with its own instead.
    """
    merged: list[Message] = []
    for message in messages:
        last = merged[-1] if merged else None
        if last and _can_join(last, message):
            merged[-1] = _join(last, message)
        else:
            merged.append(message)
    return tuple(merged)


def _can_join(first: Message, second: Message) -> bool:
    return first.role == second.role != "tool" and not first.tool_calls


def _join(first: Message, second: Message) -> Message:
    one_name = first.name == second.name
    parts = [m.content if one_name else _named(m) for m in (first, second) if m.content]
    name = second.name if one_name else None
    return second.model_copy(update={"content": "\n\n".join(parts), "name": name})


def _named(message: Message) -> str:
    return f"{message.name}: {message.content}" if message.name else message.content


def _user_first(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    if not messages or messages[0].role == "user":
        return messages
    return (Message(role="user", content=ASSISTANT_STARTS, at=messages[0].at), *messages)
