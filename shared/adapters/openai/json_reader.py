"""Tolerant access to parsed JSON: a missing or odd value counts as absent, whatever its shape."""

from collections.abc import Mapping, Sequence
from typing import Any

NOTHING: Mapping[str, Any] = {}


def object_in(value: Any, name: str) -> Mapping[str, Any]:
    """The object under a name; empty if there is none."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else NOTHING


def objects_in(value: Any, name: str) -> Sequence[Mapping[str, Any]]:
    """The objects in the list under a name; a lone object counts as a list of one."""
    found = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(found, Mapping):
        return [found]
    items = found if isinstance(found, list) else []
    return [item for item in items if isinstance(item, Mapping)]


def text_in(value: Any, name: str) -> str:
    """The text under a name; empty if there is none."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else ""


MAX_COUNT = 1_000_000_000  # more tokens than a call can have


def count_in(value: Any, name: str) -> int:
    """The number under a name, also if it is written as text; 0 if there is none."""
    found = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return 0
    try:
        return min(MAX_COUNT, max(0, int(float(found))))
    except (ValueError, OverflowError):
        return 0


def content_of(message: Any) -> str:
    """The text of a message whose content is text, a part, or a list of parts."""
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    return "".join(part if isinstance(part, str) else text_in(part, "text") for part in parts)


def text_size(text: str) -> int:
    """The size of a text in bytes; half a character of a chunk counts one."""
    return len(text.encode(errors="replace"))
