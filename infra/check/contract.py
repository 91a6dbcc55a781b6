"""The contract: what Azure accepts of the resource types that infra/ uses, at the API versions it uses.

contract.json maps `type@version` to a shape, and a shape is one of
    "string", "int", "bool", "any"
    "/pattern/"                  a string of this form
    "=A|B"                       one of these strings
    [shape]                      an array
    {"name": shape}              an object; `name!` is required, `name~` is Azure's to set, `*` is any other name
    {"@by": name, "@cases": {constant: object}, ...}   further names, by the constant that `name` has
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

CONTRACT = Path(__file__).parent / "contract.json"
ALWAYS_READABLE = frozenset({"id", "name", "type", "apiVersion"})


@dataclass(frozen=True, slots=True)
class Single:
    """One value that is no collection."""

    kind: str
    pattern: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """An array."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class Property:
    """A property of an object."""

    shape: "Shape"
    required: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """An object. With `by`, the constant of that property adds the properties of one case."""

    properties: Mapping[str, Property]
    rest: "Shape | None" = None
    by: str = ""
    cases: Mapping[str, "ObjectOf"] = field(default_factory=dict)


Shape = Single | ArrayOf | ObjectOf


@cache
def load_contract() -> Mapping[str, ObjectOf]:
    """The committed contract."""
    return {name: to_object(written) for name, written in json.loads(CONTRACT.read_text()).items()}


def to_shape(written: object) -> Shape:
    """Read a shape in the notation above."""
    if isinstance(written, list):
        return ArrayOf(to_shape(written[0]))
    if isinstance(written, dict):
        return to_object(written)
    notation = str(written)
    if notation.startswith("="):
        return Single("string", choices=tuple(notation[1:].split("|")))
    if notation.startswith("/"):
        return Single("string", pattern=notation[1:-1])
    return Single(notation)


def to_object(written: dict[str, object]) -> ObjectOf:
    """Read an object shape."""
    cases = written.get("@cases", {})
    names = [name for name in written if not name.startswith("@") and name != "*"]
    return ObjectOf(
        {
            name.rstrip("!~"): Property(to_shape(written[name]), "!" in name, "~" in name)
            for name in names
        },
        to_shape(written["*"]) if "*" in written else None,
        str(written.get("@by", "")),
        {constant: to_object(case) for constant, case in cases.items()}
        if isinstance(cases, dict)
        else {},
    )
