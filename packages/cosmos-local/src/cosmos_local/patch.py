"""Partial updates: add, set, replace, remove, incr, move, under an optional condition."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from cosmos_local.checker import check
from cosmos_local.errors import PREDICATE_FALSE, Refusal, bad_request, precondition_failed
from cosmos_local.evaluator import Compiler
from cosmos_local.keys import Path
from cosmos_local.parser import parse_predicate
from cosmos_local.select import Select, root_scope
from cosmos_local.syntax import Query
from cosmos_local.values import Document, Value, is_number

MAX_OPERATIONS = 10
FIXED = frozenset({"id", "_rid", "_self", "_etag", "_ts", "_attachments"})
_Parent: TypeAlias = "dict[str, object] | list[object]"


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a patch."""

    kind: str
    path: Path
    value: Value
    source: Path


@dataclass(frozen=True, slots=True)
class Patch:
    """A parsed patch."""

    operations: tuple[Operation, ...]
    condition: Query | None

    def apply(self, document: Document, key_paths: tuple[Path, ...], now: float) -> Document:
        """Return the changed document, or answer 412 when the condition is false."""
        if self.condition is not None and not self._holds(document, now):
            raise precondition_failed(
                "Condition is not satisfied for one of the patch operations.", PREDICATE_FALSE
            )
        for number, operation in enumerate(self.operations, 1):
            try:
                _check_target(operation, key_paths)
                _APPLY[operation.kind](document, operation)
            except Refusal as refusal:
                raise bad_request(f"For Operation({number}): {refusal.message}") from refusal
        return document

    def _holds(self, document: Document, now: float) -> bool:
        if self.condition is None:
            return True
        return bool(Select(self.condition, Compiler({}, now)).values(root_scope(document, 0)))


def parse_patch(body: Value) -> Patch:
    """Read the body of a PATCH request or of a batch's patch operation; it may be a bare list."""
    if isinstance(body, list):
        body = {"operations": body}
    if not isinstance(body, dict):
        raise bad_request("The patch must be an object or a list of operations.")
    if unknown := body.keys() - {"operations", "condition"}:
        raise bad_request(f"The patch has unknown properties: {', '.join(sorted(unknown))}.")
    operations = body.get("operations")
    if not isinstance(operations, list) or not operations:
        raise bad_request("The patch request must have at least one operation.")
    if len(operations) > MAX_OPERATIONS:
        raise bad_request("The number of patch operations can't exceed 10.")
    condition = body.get("condition")
    if condition is None:
        return Patch(tuple(map(_operation, operations)), None)
    if not isinstance(condition, str):
        raise bad_request("The patch condition must be a string.")
    query = parse_predicate(condition)
    check(query, {})
    if len(query.sources) != 1 or query.sources[0].query is not None or query.sources[0].iterates:
        raise bad_request("The patch condition must read from the item alone.")
    return Patch(tuple(map(_operation, operations)), query)


def _operation(entry: Value) -> Operation:
    if not isinstance(entry, dict):
        raise bad_request("A patch operation must be an object.")
    kind = entry.get("op")
    if kind == "increment":
        kind = "incr"
    if not isinstance(kind, str) or kind not in _APPLY:
        raise bad_request(f"The patch operation '{kind}' is not supported.")
    wanted = {
        "add": "value",
        "set": "value",
        "replace": "value",
        "incr": "value",
        "move": "from",
    }.get(kind)
    if entry.keys() != {"op", "path"} | ({wanted} if wanted else set()):
        raise bad_request(
            f"The patch operation '{kind}' needs 'path'{f' and {wanted!r}' if wanted else ''} only."
        )
    source = _pointer(entry["from"]) if kind == "move" else ()
    return Operation(kind, _pointer(entry["path"]), entry.get("value"), source)


def _pointer(text: Value) -> Path:
    if not isinstance(text, str) or not text.startswith("/") or text == "/":
        raise bad_request("A patch path must start with '/' and name a property.")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def _check_target(operation: Operation, key_paths: tuple[Path, ...]) -> None:
    for path in (operation.path, operation.source):
        if path and (path[0] in FIXED or any(path == key[: len(path)] for key in key_paths)):
            raise bad_request(
                f"The property '/{'/'.join(path)}' is immutable: id, system or partition key."
            )


def _parent(document: Document, path: Path) -> tuple[_Parent, str]:
    node: Value = document
    for name in path[:-1]:
        if isinstance(node, list) and _is_index(name) and int(name) < len(node):
            node = node[int(name)]
        else:
            node = node.get(name) if isinstance(node, dict) else None
    if not isinstance(node, dict | list):
        raise bad_request(
            "an operation can only create a child of an existing node; the path has no parent."
        )
    return node, path[-1]


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit() and (name == "0" or not name.startswith("0"))


def _existing(document: Document, path: Path) -> tuple[_Parent, str | int]:
    parent, name = _parent(document, path)
    if isinstance(parent, dict) and name in parent:
        return parent, name
    if isinstance(parent, list) and _is_index(name) and int(name) < len(parent):
        return parent, int(name)
    raise bad_request("the path to be changed does not exist.")


def _add(document: Document, operation: Operation) -> None:
    _insert(document, operation.path, _copy(operation.value))


def _insert(document: Document, path: Path, value: Value) -> None:
    parent, name = _parent(document, path)
    if isinstance(parent, dict):
        parent[name] = value
    elif name == "-":
        parent.append(value)
    elif _is_index(name) and int(name) <= len(parent):
        parent.insert(int(name), value)
    else:
        raise bad_request("the array index is out of bounds.")


def _set(document: Document, operation: Operation) -> None:
    parent, name = _parent(document, operation.path)
    if isinstance(parent, list) and _is_index(name) and int(name) < len(parent):
        parent[int(name)] = _copy(operation.value)
    else:
        _add(document, operation)


def _replace(document: Document, operation: Operation) -> None:
    parent, name = _existing(document, operation.path)
    parent[name] = _copy(operation.value)  # type: ignore[index]  # _existing pairs lists with numbers


def _remove(document: Document, operation: Operation) -> None:
    parent, name = _existing(document, operation.path)
    del parent[name]  # type: ignore[arg-type]  # _existing pairs lists with numbers


def _incr(document: Document, operation: Operation) -> None:
    if not is_number(operation.value):
        raise bad_request("the value of an increment must be a number.")
    parent, name = _parent(document, operation.path)
    if isinstance(parent, dict) and name not in parent:
        parent[name] = operation.value
        return
    holder, key = _existing(document, operation.path)
    current = holder[key]  # type: ignore[index]  # _existing pairs lists with numbers
    if not is_number(current):
        raise bad_request("the property to increment is not a number.")
    total = operation.value + current
    if not math.isfinite(total):
        raise bad_request("the result of the increment is out of range.")
    holder[key] = total  # type: ignore[index]  # as above


def _move(document: Document, operation: Operation) -> None:
    if operation.path[: len(operation.source)] == operation.source:
        raise bad_request("a node cannot be moved into itself.")
    parent, name = _existing(document, operation.source)
    value = parent.pop(name)  # type: ignore[arg-type]  # _existing pairs lists with numbers
    _insert(document, operation.path, value)


def _copy(value: Value) -> Value:
    """Copy, so that two operations of one batch never share a list."""
    copied: Value = json.loads(json.dumps(value))
    return copied


_APPLY: dict[str, Callable[[Document, Operation], None]] = {
    "add": _add,
    "set": _set,
    "replace": _replace,
    "remove": _remove,
    "incr": _incr,
    "move": _move,
}
