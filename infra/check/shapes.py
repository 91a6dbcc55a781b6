"""Checks values against the contract."""

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import singledispatch

from infra.check.bicep import BicepFile, fields_of, is_existing, line_of, type_of
from infra.check.contract import ArrayOf, ObjectOf, Property, Shape, Single, load_contract
from infra.check.finding import Finding
from infra.check.values import Choice, Known, Listing, Record, Unknown, Value, resource_body

OF_BICEP = ("parent", "scope", "dependsOn")
Fault = tuple[int, str, str]
SOME_PART = re.compile(r"\$\{[^}]*\}")


def check_shapes(file: BicepFile) -> Iterator[Finding]:
    """Yield what Azure would refuse of a file's resources."""
    for node in file.resources.values():
        shape = load_contract().get(type_of(node))
        if shape is None:
            yield file.finding(
                node,
                "unknown-type",
                f"{type_of(node)} is not in the contract (infra/check/contract.json)",
            )
        elif is_existing(node):
            if "name" not in fields_of(node):
                yield file.finding(
                    node,
                    "missing-property",
                    "whoever refers to a resource that exists needs its 'name'",
                )
        else:
            body = resource_body(file, node)
            fields = {name: value for name, value in body.fields.items() if name not in OF_BICEP}
            named = Record(fields, line_of(node), body.is_open)
            for line, rule, message in faults(named, shape, type_of(node).partition("@")[0]):
                yield Finding(file.path, line, rule, message)


def faults(value: Value, shape: Shape, path: str) -> Iterator[Fault]:
    """Yield in what a value is not of a shape."""
    if isinstance(value, Choice):
        for option in value.options:
            yield from faults(option, shape, path)
    elif not _may_be_anything(value):
        yield from _faults_of(shape, value, path)


def _may_be_anything(value: Value) -> bool:
    unset = isinstance(value, Known) and value.constant is None
    return unset or (isinstance(value, Unknown) and value.kind == "any")


@singledispatch
def _faults_of(shape: Shape, value: Value, path: str) -> Iterator[Fault]:
    raise NotImplementedError(shape, value, path)


@_faults_of.register
def _(shape: ArrayOf, value: Value, path: str) -> Iterator[Fault]:
    if isinstance(value, Listing):
        for item in value.items:
            yield from faults(item, shape.item, f"{path}[]")
    elif _kind(value) != "array":
        yield value.line, "wrong-type", f"{path} is an array, not {_kind(value)}"


@_faults_of.register
def _(shape: ObjectOf, value: Value, path: str) -> Iterator[Fault]:
    if not isinstance(value, Record):
        if _kind(value) != "object":
            yield value.line, "wrong-type", f"{path} is an object, not {_kind(value)}"
        return
    properties = dict(shape.properties)
    if shape.by:
        case = value.fields.get(shape.by)
        chosen = shape.cases.get(str(case.constant)) if isinstance(case, Known) else None
        if chosen is None:
            yield (
                value.line,
                "wrong-value",
                f"{path}.{shape.by} must be one of {', '.join(shape.cases)}",
            )
            return
        properties |= chosen.properties
    yield from _property_faults(value, properties, shape.rest, path)


def _property_faults(
    value: Record, properties: Mapping[str, Property], rest: Shape | None, path: str
) -> Iterator[Fault]:
    for name, given in value.fields.items():
        known = properties.get(name)
        if known is None and rest is None:
            yield (
                given.line,
                "unknown-property",
                f"{path} has no {name!r}{_meant(name, properties)}",
            )
        elif known is not None and known.read_only:
            yield given.line, "read-only", f"{path}.{name} is set by Azure"
        else:
            yield from faults(
                given, known.shape if known else rest or Single("any"), f"{path}.{name}"
            )
    for name, known in properties.items():
        if known.required and name not in value.fields and not value.is_open:
            yield value.line, "missing-property", f"{path} needs {name!r}"


@_faults_of.register
def _(shape: Single, value: Value, path: str) -> Iterator[Fault]:
    kind = _kind(value)
    if shape.kind not in {"any", kind}:
        yield value.line, "wrong-type", f"{path} is {shape.kind}, not {kind}"
    elif shape.choices and isinstance(value, Known) and value.constant not in shape.choices:
        yield (
            value.line,
            "wrong-value",
            f"{path} is {value.constant!r}, not one of {', '.join(shape.choices)}",
        )
    elif shape.pattern and not re.search(shape.pattern, _sample(value)):
        yield (
            value.line,
            "wrong-value",
            f"{path} is {_sample(value)!r}, which {shape.pattern} does not allow",
        )


def _sample(value: Value) -> str:
    """The string, with `a1a1` for each part that is not known."""
    if isinstance(value, Known):
        return str(value.constant)
    if isinstance(value, Unknown) and "${" in value.source:
        return SOME_PART.sub("a1a1", value.source)
    return "a1a1"


def _kind(value: Value) -> str:
    match value:
        case Known(bool()):
            return "bool"
        case Known(int()):
            return "int"
        case Known():
            return "string"
        case Unknown(kind):
            return kind
        case Listing():
            return "array"
    return "object"


def _meant(name: str, properties: Mapping[str, Property]) -> str:
    near = difflib.get_close_matches(name, list(properties), 1)
    return f", did you mean {near[0]!r}?" if near else ""
