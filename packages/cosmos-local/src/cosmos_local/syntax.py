"""The syntax tree of a Cosmos SQL query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeAlias

from cosmos_local.values import UNDEFINED


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a word in the query text, for error messages."""

    start: int
    end: int


NOWHERE = Place(0, 0)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: number, string, true, false, null or undefined."""

    value: object


@dataclass(frozen=True, slots=True)
class Parameter:
    """`@name`, whose value comes with the request."""

    name: str
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """An alias of FROM or JOIN."""

    name: str
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """`base.key` or `base[key]`."""

    base: Expression
    key: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """A built-in function; its name is kept in upper case."""

    name: str
    arguments: tuple[Expression, ...]
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """`NOT x`, `-x` or `+x`."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator between two expressions: AND OR = != < <= > >= + - * / % || ??."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Between:
    """`x BETWEEN low AND high`."""

    operand: Expression
    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class In:
    """`x IN (a, b, …)`."""

    operand: Expression
    choices: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """`x LIKE pattern ESCAPE 'c'`."""

    operand: Expression
    pattern: Expression
    escape: Expression | None


@dataclass(frozen=True, slots=True)
class Conditional:
    """`test ? yes : no`."""

    test: Expression
    yes: Expression
    no: Expression


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """`[a, b]`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """`{"name": value}`."""

    members: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Subquery:
    """`EXISTS(…)`, `ARRAY(…)` or a scalar `(SELECT …)`."""

    kind: str
    query: Query


Expression: TypeAlias = (
    Literal
    | Parameter
    | Name
    | Member
    | Call
    | Unary
    | Binary
    | Between
    | In
    | Like
    | Conditional
    | ArrayOf
    | ObjectOf
    | Subquery
)


@dataclass(frozen=True, slots=True)
class Source:
    """One input of FROM or JOIN: `path AS alias`, `alias IN path`, or `(query) AS alias`."""

    alias: str
    expression: Expression | None
    query: Query | None
    iterates: bool
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class Column:
    """One item of the SELECT list."""

    expression: Expression
    alias: str | None


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One item of ORDER BY."""

    expression: Expression
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A whole SELECT. No columns means `*`; `value` means SELECT VALUE of the one column."""

    columns: tuple[Column, ...]
    value: bool = False
    distinct: bool = False
    top: Expression | None = None
    sources: tuple[Source, ...] = ()
    where: Expression | None = None
    group_by: tuple[Expression, ...] = ()
    order_by: tuple[OrderKey, ...] = ()
    rank: Expression | None = None
    offset: Expression | None = None
    limit: Expression | None = None


UNKNOWN = UNDEFINED  # the constant of what is no constant
AGGREGATES = frozenset({"COUNT", "SUM", "AVG", "MIN", "MAX"})


def children(node: object) -> Iterator[object]:
    """Yield what a node is directly made of; a subquery is a world of its own."""
    if isinstance(node, tuple):
        yield from node
    elif is_dataclass(node) and not isinstance(node, Subquery | Query | Place | type):
        for item in fields(node):
            yield getattr(node, item.name)


def walk(node: object) -> Iterator[object]:
    """Yield every node below this one and itself, subqueries excepted."""
    yield node
    for part in children(node):
        yield from walk(part)


def rewrite(node: Any, change: Callable[[object], object | None]) -> Any:
    """Return the tree with every node replaced that `change` gives another for, top down."""
    changed = change(node)
    if changed is not None:
        return changed
    if isinstance(node, tuple):
        return tuple(rewrite(part, change) for part in node)
    if not is_dataclass(node) or isinstance(node, Place | type):
        return node
    members = {item.name: getattr(node, item.name) for item in fields(node)}
    rewritten = {name: rewrite(part, change) for name, part in members.items()}
    same = all(rewritten[name] is part for name, part in members.items())
    return node if same else replace(node, **rewritten)


def bind_keys(query: Query, parameters: Mapping[str, object]) -> Query:
    """Return the query with parameters in brackets, as in c[@name], replaced by their strings."""

    def bound(node: object) -> object | None:
        if not isinstance(node, Member) or not isinstance(node.key, Parameter):
            return None
        name = parameters.get(node.key.name)
        if not isinstance(name, str):
            return None
        return Member(rewrite(node.base, bound), Literal(name))

    rewritten: Query = rewrite(query, bound)
    return rewritten


def aggregates_in(node: object) -> list[Call]:
    """Return the aggregate calls of an expression, not those of its subqueries."""
    return [part for part in walk(node) if isinstance(part, Call) and part.name in AGGREGATES]


def path_of(expression: Expression) -> tuple[str, ...] | None:
    """Return ("c", "a", "b") for c.a.b or c["a"]["b"], and None for anything else."""
    if isinstance(expression, Name):
        return (expression.name,)
    if (
        isinstance(expression, Member)
        and isinstance(expression.key, Literal)
        and isinstance(expression.key.value, str)
    ):
        base = path_of(expression.base)
        return None if base is None else (*base, expression.key.value)
    return None


def column_name(column: Column) -> str | None:
    """Return the property a column becomes; None for one that the service numbers ($1, $2, …)."""
    if column.alias is not None:
        return column.alias
    expression = column.expression
    if isinstance(expression, Name):
        return expression.name
    path = path_of(expression)
    return None if path is None else path[-1]


def leading_name(source: Source) -> str | None:
    """Return the name a source's path starts with."""
    node = source.expression
    while isinstance(node, Member):
        node = node.base
    return node.name if isinstance(node, Name) else None


def clauses(query: Query) -> Iterator[object]:
    """Yield the parts of a SELECT."""
    for item in fields(query):
        yield getattr(query, item.name)
