"""What an expression can become, as far as the file alone tells."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tree_sitter import Node

from infra.check.bicep import (
    BicepFile,
    body_of,
    decorators_of,
    entries,
    kind_of,
    line_of,
    literal,
    loop_of,
    loop_symbols,
    operands,
    text,
)

Kind = Literal["string", "int", "bool", "object", "array", "any"]
KINDS: dict[str, Kind] = {
    "string": "string",
    "int": "int",
    "bool": "bool",
    "object": "object",
    "array": "array",
}
RETURNS: dict[str, Kind] = {
    "string": "string",
    "int": "int",
    "empty": "bool",
    "toLower": "string",
    "guid": "string",
}


@dataclass(frozen=True, slots=True)
class Known:
    """A constant."""

    constant: str | int | bool | None
    line: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something Azure will know; of strings, `source` keeps the parts that are constant."""

    kind: Kind
    source: str
    line: int


@dataclass(frozen=True, slots=True)
class Record:
    """An object; `is_open` when it has keys that are not known."""

    fields: Mapping[str, "Value"]
    line: int
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """An array."""

    items: tuple["Value", ...]
    line: int
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several, by a condition."""

    options: tuple["Value", ...]
    condition: str
    line: int


Value = Known | Unknown | Record | Listing | Choice


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a name is looked up: loop variables, then the file."""

    file: BicepFile
    bound: Mapping[str, Value] = field(default_factory=dict)


def resource_body(file: BicepFile, declaration: Node) -> Record:
    """The object of a resource or module with its loop variable bound to all it can be."""
    body, loop = body_of(declaration), loop_of(declaration)
    if body is None:
        return Record({}, line_of(declaration), is_open=True)
    scope = Scope(file)
    value = evaluate(_inside(loop, scope) if loop else scope, body)
    return value if isinstance(value, Record) else Record({}, line_of(body), is_open=True)


def evaluate(scope: Scope, node: Node) -> Value:
    """What an expression can become."""
    evaluation = EVALUATIONS.get(node.type)
    return evaluation(scope, node) if evaluation else Unknown("any", text(node), line_of(node))


def field_of(value: Value, name: str) -> Value | None:
    """A field, of every object the value can be."""
    match value:
        case Record(fields):
            return fields.get(name)
        case Choice(options, condition, line):
            found = [field_of(option, name) for option in options]
            kept = tuple(option for option in found if option is not None)
            return Choice(kept, condition, line) if kept else None
    return None


def at(value: Value | None, path: str) -> Value | None:
    """The value at a dotted path."""
    for name in path.split("."):
        value = field_of(value, name) if value is not None else None
    return value


def leaves(value: Value | None) -> list[Known | Unknown]:
    """Every single thing a value can be, of an array every item."""
    match value:
        case Known() | Unknown():
            return [value]
        case Choice(options):
            return [leaf for option in options for leaf in leaves(option)]
        case Listing(items):
            return [leaf for item in items for leaf in leaves(item)]
    return []


def records(value: Value | None) -> list[Record]:
    """Every object a value can be."""
    match value:
        case Record():
            return [value]
        case Choice(options):
            return [record for option in options for record in records(option)]
    return []


def items_of(collection: Value) -> tuple[Value, ...]:
    """What the items of an array can be."""
    match collection:
        case Listing(items):
            return items
        case Choice(options):
            return tuple(item for option in options for item in items_of(option))
    return (Unknown("any", "", collection.line),)


def parameter_of(file: BicepFile, name: str, line: int = 0) -> Value:
    """What a parameter can be."""
    declaration = file.parameters[name]
    allowed = [
        arguments for decorator, arguments in decorators_of(declaration) if decorator == "allowed"
    ]
    if allowed:
        options = operands(operands(allowed[0])[0])
        return Choice(
            tuple(evaluate(Scope(file), option) for option in options), f"param {name}", line
        )
    return Unknown(KINDS.get(kind_of(declaration), "any"), name, line)


def from_json(content: object, line: int) -> Value:
    """A JSON document as a value."""
    if isinstance(content, dict):
        return Record({key: from_json(item, line) for key, item in content.items()}, line)
    if isinstance(content, list):
        return Listing(tuple(from_json(item, line) for item in content), line)
    return Known(content if isinstance(content, str | int | bool) else None, line)


def _string(scope: Scope, node: Node) -> Value:
    whole = literal(node)
    if whole is not None:
        return Known(whole, line_of(node))
    parts = [_part(scope, part) for part in node.named_children]
    return Unknown("string", "".join(parts), line_of(node))


def _part(scope: Scope, part: Node) -> str:
    if part.type != "interpolation":
        return text(part)
    value = evaluate(scope, operands(part)[0])
    return str(value.constant) if isinstance(value, Known) else text(part)


def _choice(scope: Scope, node: Node) -> Value:
    condition, *options = operands(node)
    return Choice(
        tuple(evaluate(scope, option) for option in options), text(condition), line_of(node)
    )


def _listing(scope: Scope, node: Node) -> Value:
    return Listing(tuple(evaluate(scope, item) for item in operands(node)), line_of(node))


def _loop(scope: Scope, node: Node) -> Value:
    return Listing(
        (evaluate(_inside(node, scope), operands(node)[-1]),), line_of(node), is_open=True
    )


def _member(scope: Scope, node: Node) -> Value:
    owner, member = operands(node)
    return field_of(evaluate(scope, owner), text(member)) or Unknown(
        "any", text(node), line_of(node)
    )


def _record(scope: Scope, node: Node) -> Record:
    found = [(key, evaluate(scope, value)) for key, value in entries(node)]
    known = {key: value for key, value in found if key is not None}
    return Record(known, line_of(node), is_open=len(known) < len(found))


def _inside(loop: Node, scope: Scope) -> Scope:
    item, *index = loop_symbols(loop)
    collection = evaluate(scope, operands(loop)[1])
    line = line_of(loop)
    bound = {item: Choice(items_of(collection), text(operands(loop)[1]), line)}
    return Scope(
        scope.file, {**scope.bound, **bound, **{name: Unknown("int", name, line) for name in index}}
    )


def _named(scope: Scope, node: Node) -> Value:
    name, file = text(node), scope.file
    if name in scope.bound:
        return scope.bound[name]
    if name in file.variables:
        return evaluate(Scope(file), operands(file.variables[name])[-1])
    if name in file.parameters:
        return parameter_of(file, name, line_of(node))
    return Unknown("any", name, line_of(node))


def _call(scope: Scope, node: Node) -> Value:
    function, *rest = operands(node)
    arguments = operands(rest[0]) if rest else []
    name, line = text(function), line_of(node)
    if name == "loadJsonContent" and arguments:
        path: Path = scope.file.path.parent / (literal(arguments[0]) or "")
        return from_json(json.loads(path.read_text()), line)
    values = [evaluate(scope, argument) for argument in arguments]
    if name == "union":
        return _union(values, line)
    if name == "subscriptionResourceId" and values:
        return values[-1]  # its name is what tells one role from another
    if name == "concat":
        return Listing(tuple(item for value in values for item in items_of(value)), line)
    return Unknown(RETURNS.get(name, "any"), text(node), line)


def _union(values: list[Value], line: int) -> Record:
    parts = [record for value in values for record in records(value)]
    known = all(isinstance(value, Record) and not value.is_open for value in values)
    return Record(
        {name: part for record in parts for name, part in record.fields.items()},
        line,
        is_open=not known,
    )


EVALUATIONS: dict[str, Callable[[Scope, Node], Value]] = {
    "array": _listing,
    "boolean": lambda _, node: Known(text(node) == "true", line_of(node)),
    "call_expression": _call,
    "for_statement": _loop,
    "identifier": _named,
    "member_expression": _member,
    "null": lambda _, node: Known(None, line_of(node)),
    "number": lambda _, node: Known(int(text(node)), line_of(node)),
    "object": _record,
    "parenthesized_expression": lambda scope, node: evaluate(scope, operands(node)[0]),
    "string": _string,
    "ternary_expression": _choice,
}
