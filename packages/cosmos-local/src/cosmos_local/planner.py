"""A query's filter to SQLite: what the database can decide before a document is parsed.

Every condition here is necessary, never sufficient: the evaluator judges the rows it lets through
once more, so a filter that SQLite's types would answer differently is not pushed down. Values are
always bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cosmos_local import syntax
from cosmos_local.conjuncts import constant_of
from cosmos_local.syntax import Expression, Query
from cosmos_local.values import Value, is_number

Narrowing: TypeAlias = tuple[str, list[object]]
EVERYTHING: Narrowing = ("1", [])
MAX_VALUES = 500  # longer IN lists are left to the evaluator
MAX_DEPTH = 30  # of nested AND and OR: SQLite's parser gives up at a hundred
MAX_BOUND = 10_000  # values bound to one statement: SQLite takes three times as many
_SLACK = 1e-9  # SQLite and Python may read the last digits of a decimal differently


@dataclass(frozen=True, slots=True)
class _Planner:
    alias: str
    parameters: Mapping[str, Value]
    apart: tuple[str, ...]

    def narrow(self, node: Expression, depth: int = 0) -> Narrowing | None:
        """Return a condition that holds wherever the expression is true, or None."""
        if depth > MAX_DEPTH:
            return None
        if isinstance(node, syntax.Binary) and node.operator in ("AND", "OR"):
            parts = [self.narrow(side, depth + 1) for side in (node.left, node.right)]
            known = [part for part in parts if part]
            if node.operator == "OR" and len(known) < len(parts):
                return None
            return _join(f" {node.operator} ", known)
        return self._narrow_test(node)

    def ids(self, node: Expression) -> set[str] | None:
        """Return the ids that a row must have one of, or None when it may have any."""
        match node:
            case syntax.Binary("AND", left, right):
                known = [ids for ids in map(self.ids, (left, right)) if ids is not None]
                return set.intersection(*known) if known else None
            case syntax.Binary("OR", left, right):
                sides = [self.ids(left), self.ids(right)]
                return None if None in sides else set().union(*filter(None, sides))
            case syntax.Binary("=", left, right):
                return self._ids_among(left, (right,)) or self._ids_among(right, (left,))
            case syntax.In(operand, choices):
                return self._ids_among(operand, choices)
            case _:
                return None

    def _ids_among(self, operand: Expression, choices: Sequence[Expression]) -> set[str] | None:
        if syntax.path_of(operand) != (self.alias, "id"):
            return None
        values = [constant_of(choice, self.parameters) for choice in choices]
        ids = {value for value in values if isinstance(value, str)}
        return ids if len(values) == len(choices) and ids else None

    def _narrow_test(self, node: Expression) -> Narrowing | None:
        match node:
            case syntax.Binary(operator, left, right) if operator in _MIRRORED:
                return self._comparison(operator, left, right) or self._comparison(
                    _MIRRORED[operator], right, left
                )
            case syntax.Between(operand, low, high):
                bounds = [
                    self._comparison(">=", operand, low),
                    self._comparison("<=", operand, high),
                ]
                return _join(" AND ", [bound for bound in bounds if bound])
            case syntax.In(operand, choices):
                parts = [self._comparison("=", operand, choice) for choice in choices]
                known = [part for part in parts if part]
                return _join(" OR ", known) if len(known) == len(parts) <= MAX_VALUES else None
            case syntax.Call("IS_DEFINED", (argument,)):
                path = self._path(argument)
                return None if path is None else ("json_type(body, ?) IS NOT NULL", [path])
            case syntax.Call("STARTSWITH", (argument, prefix)):
                return self._comparison(">=", argument, prefix)
            case _:
                return None

    def _comparison(self, operator: str, left: Expression, right: Expression) -> Narrowing | None:
        path = self._path(left)
        if path is None or not isinstance(right, syntax.Literal | syntax.Parameter):
            return None
        value = right.value if isinstance(right, syntax.Literal) else self.parameters[right.name]
        if isinstance(value, str) and "\0" not in value:
            return f"json_extract(body, ?) {_LOOSE[operator]} ?", [path, value]
        if not is_number(value) or abs(value) > 2**62:
            return None
        slack = abs(value) * _SLACK
        if operator == "=":
            return "json_extract(body, ?) BETWEEN ? AND ?", [path, value - slack, value + slack]
        bound = value + slack if operator.startswith("<") else value - slack
        return f"json_extract(body, ?) {_LOOSE[operator]} ?", [path, bound]

    def _path(self, expression: Expression) -> str | None:
        names = syntax.path_of(expression)
        if names is None or len(names) < 2 or names[0] != self.alias or names[1] in self.apart:  # noqa: PLR2004 - alias.x
            return None
        if any(character in '"\\' or character < " " for name in names for character in name):
            return None
        return "$" + "".join(f'."{name}"' for name in names[1:])


_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_LOOSE = {"=": "=", "<": "<=", "<=": "<=", ">": ">=", ">=": ">="}


def narrow(query: Query, parameters: Mapping[str, Value], apart: tuple[str, ...]) -> Narrowing:
    """Return the SQL condition for the scan; `apart` are the properties stored outside the body."""
    if query.where is None or not query.sources:
        return EVERYTHING
    source = query.sources[0]
    if source.iterates or not isinstance(source.expression, syntax.Name):
        return EVERYTHING
    planner = _Planner(source.alias, parameters, apart)
    ids = planner.ids(query.where)
    if ids is not None and len(ids) <= MAX_BOUND:
        return f"id IN ({','.join('?' * len(ids))})", list[object](sorted(ids))
    found = planner.narrow(query.where)
    return EVERYTHING if found is None or len(found[1]) > MAX_BOUND else found


def _join(operator: str, parts: list[Narrowing]) -> Narrowing | None:
    if not parts:
        return None
    return "(" + operator.join(sql for sql, _ in parts) + ")", [
        value for _, values in parts for value in values
    ]


def reads_vectors(query: Query, apart: tuple[str, ...]) -> bool:
    """Tell whether the query needs the properties that are stored outside the body."""
    if not apart:
        return False
    return not query.columns or _mentions(query, apart)


def _mentions(node: object, apart: tuple[str, ...]) -> bool:
    """Look for a bare alias, or for a property that is stored apart, outside of VectorDistance."""
    if isinstance(node, syntax.Call) and node.name == "VECTORDISTANCE":
        return False
    if isinstance(node, syntax.Member):
        path = syntax.path_of(node)
        if path is not None:
            return path[1] in apart
    if isinstance(node, syntax.Name):
        return True
    if isinstance(node, syntax.Source):
        return _mentions(node.query, apart) or (
            isinstance(node.expression, syntax.Member) and _mentions(node.expression, apart)
        )
    if isinstance(node, syntax.Subquery):
        return _mentions(node.query, apart)
    parts = syntax.clauses(node) if isinstance(node, Query) else syntax.children(node)
    return any(_mentions(part, apart) for part in parts)
