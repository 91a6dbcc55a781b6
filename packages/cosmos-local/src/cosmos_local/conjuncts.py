"""What a filter fixes for every row it keeps: equalities and bounds of properties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from cosmos_local import syntax
from cosmos_local.keys import Path
from cosmos_local.syntax import Expression, Query
from cosmos_local.values import Undefined, Value, is_number

Bound: TypeAlias = tuple[Path, str, Value]  # c.path, an operator, a value
MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Conjuncts:
    """The comparisons that a filter joins by AND; `is_all` when it consists of nothing else."""

    equal: Mapping[Path, Value]
    bounds: tuple[Bound, ...]
    is_all: bool


def conjuncts_of(query: Query, parameters: Mapping[str, Value]) -> Conjuncts:
    """Read the filter of a query over the container itself."""
    source = query.sources[0] if len(query.sources) == 1 else None
    if source is None or source.iterates or not isinstance(source.expression, syntax.Name):
        return Conjuncts({}, (), is_all=False)
    found = [_read(part, source.alias, parameters) for part in _parts(query.where)]
    comparisons = [one for one in found if one is not None]
    equal: dict[Path, Value] = {}
    for path, operator, value in comparisons:
        if operator == "=":
            equal.setdefault(path, value)
    bounds = tuple(one for one in comparisons if one[1] != "=")
    twice = sum(operator == "=" for _, operator, _ in comparisons) > len(equal)
    return Conjuncts(equal, bounds, is_all=len(comparisons) == len(found) and not twice)


def key_in(
    query: Query, parameters: Mapping[str, Value], paths: tuple[Path, ...]
) -> list[Value] | None:
    """Return the partition key that a filter fixes, if it does; null is looked for everywhere."""
    equal = conjuncts_of(query, parameters).equal
    key = [equal.get(path) for path in paths]
    return None if None in key else key


def _parts(node: Expression | None) -> Iterator[Expression]:
    if isinstance(node, syntax.Binary) and node.operator == "AND":
        yield from _parts(node.left)
        yield from _parts(node.right)
    elif node is not None:
        yield node


def _read(node: Expression, alias: str, parameters: Mapping[str, Value]) -> Bound | None:
    if not isinstance(node, syntax.Binary) or node.operator not in MIRRORED:
        return None
    sides = [
        (node.left, node.operator, node.right),
        (node.right, MIRRORED[node.operator], node.left),
    ]
    for side, operator, other in sides:
        path = syntax.path_of(side)
        value = constant_of(other, parameters)
        if path is None or len(path) < 2 or path[0] != alias:  # noqa: PLR2004 - alias.x
            continue
        if isinstance(value, Undefined | list | dict):
            continue
        if operator == "=" or is_number(value) or isinstance(value, str):
            return path[1:], operator, value
    return None


def constant_of(node: Expression, parameters: Mapping[str, Value]) -> Value:
    """Return the value of a literal or a parameter, or undefined for anything else."""
    if isinstance(node, syntax.Literal):
        return node.value
    if isinstance(node, syntax.Parameter):
        return parameters[node.name]
    return syntax.UNKNOWN
