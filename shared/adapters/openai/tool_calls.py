"""Tool calls of a reply, whole or in chunks, with ids that callers can send back."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from pydantic import JsonValue

from shared.adapters.openai.json_reader import object_in, text_in, text_size
from shared.domain.messages import FunctionCall, ToolCall
from shared.domain.text import storable

MAX_CALLS = 128  # as many as a request may offer tools
MAX_ID_CHARS = 200  # as many as a caller may send back
MAX_EXTRA_BYTES = 16_384  # of the provider's own fields of one call
KNOWN_FIELDS = frozenset({"id", "index", "type", "function"})


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: dict[str, JsonValue] = field(default_factory=dict)


class ToolCallCollector:
    """Assembles tool calls from a whole reply or from the deltas of a stream.

    A new id at the same index is a new call; a repeated id or name is not appended; a delta
    without an index belongs to the call of its id, else to the latest one.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[object, _Call] = {}

    def __bool__(self) -> bool:
        """Whether there is any call."""
        return bool(self._calls)

    def add(self, deltas: Iterable[Mapping[str, Any]]) -> int:
        """Add calls, or chunks of calls; returns their size in bytes."""
        size = 0
        for delta in deltas:
            call, function = self._call_of(delta), object_in(delta, "function")
            call.id = call.id or text_in(delta, "id")
            name, arguments = text_in(function, "name"), _arguments_of(function)
            call.name = call.name if call.name == name else call.name + name
            call.arguments += arguments
            size += text_size(text_in(delta, "id")) + text_size(name) + text_size(arguments)
            extra = {key: delta[key] for key in delta if key not in KNOWN_FIELDS}
            call.extra |= {key: value for key, value in extra.items() if value is not None}
        return size

    def finish(self) -> tuple[ToolCall, ...]:
        """The calls in order; each id is unique, short and printable."""
        calls: list[ToolCall] = []
        for call in self._calls[:MAX_CALLS]:
            taken = {known.id for known in calls}
            calls.append(_tool_call(call, taken))
        return tuple(calls)

    def _call_of(self, delta: Mapping[str, Any]) -> _Call:
        index, call_id = delta.get("index"), text_in(delta, "id")
        known = self._find(index, call_id)
        if known is not None:
            return known
        call = _Call()
        self._calls.append(call)
        if isinstance(index, int):
            self._by_index[index] = call
        return call

    def _find(self, index: object, call_id: str) -> _Call | None:
        if isinstance(index, int):
            call = self._by_index.get(index)
            return call if (call and call_id in {"", call.id}) or (call and not call.id) else None
        if call_id:
            return next((call for call in self._calls if call.id == call_id), None)
        return self._calls[-1] if self._calls else None


def _arguments_of(function: Mapping[str, Any]) -> str:
    arguments = function.get("arguments")
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _tool_call(call: _Call, taken: set[str]) -> ToolCall:
    theirs = storable(call.id)
    usable = 0 < len(theirs) <= MAX_ID_CHARS and theirs.isprintable() and theirs not in taken
    function = FunctionCall(name=storable(call.name), arguments=storable(call.arguments) or "{}")
    return ToolCall(
        id=theirs if usable else f"call_{uuid4().hex}",
        function=function,
        provider_id=None if usable else theirs or None,
        extra=_bounded(call.extra),
    )


def _bounded(extra: dict[str, JsonValue]) -> dict[str, JsonValue] | None:
    """The provider's own fields, opaque to us; too large ones are dropped."""
    if not extra or len(json.dumps(extra).encode()) > MAX_EXTRA_BYTES:
        return None
    return extra
