"""Expressions to Python functions over the aliases in scope."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

from cosmos_local import syntax
from cosmos_local.errors import bad_request
from cosmos_local.functions import FUNCTIONS
from cosmos_local.functions.dates import iso, ticks, timestamp
from cosmos_local.functions.numbers import finite
from cosmos_local.functions.strings import concat, like_pattern
from cosmos_local.syntax import Expression
from cosmos_local.values import UNDEFINED, Undefined, Value, compare, equal, is_number

Scope: TypeAlias = dict[str, Value]
Evaluate: TypeAlias = Callable[[Scope], Value]
Rows: TypeAlias = Callable[[Scope], list[Value]]

MOMENTS: dict[str, Callable[[float], Value]] = {
    "GETCURRENTTIMESTAMP": timestamp,
    "GETCURRENTTICKS": ticks,
    "GETCURRENTDATETIME": lambda now: iso(ticks(now)),
}
COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
ROW = "#row"  # the storage number of the root document; no alias can be called this


class Compiler:
    """Turns the expressions of one query into functions."""

    def __init__(
        self,
        parameters: Mapping[str, Value],
        now: float,
        given: Mapping[int, Evaluate] | None = None,
    ) -> None:
        """Bind the parameters and the time; `given` are calls computed elsewhere, by identity."""
        self._parameters = parameters
        self._now = now
        self._given = dict(given or {})
        self.subquery: Callable[[syntax.Query], Rows] | None = None

    def with_given(self, given: Mapping[int, Evaluate]) -> Compiler:
        """Return a compiler that knows more computed calls."""
        compiler = Compiler(self._parameters, self._now, self._given | dict(given))
        compiler.subquery = self.subquery
        return compiler

    def constant(self, expression: Expression) -> Value:
        """Evaluate an expression that uses no alias."""
        return self.compile(expression)({})

    def compile(self, node: Expression) -> Evaluate:  # noqa: PLR0911 - a dispatch, one line per kind of node
        """Return the function that computes the expression."""
        match node:
            case syntax.Literal(value):
                return lambda _: value
            case syntax.Parameter(name):
                bound = self._parameters[name]
                return lambda _: bound
            case syntax.Name(name):
                return lambda scope: scope[name]
            case syntax.Member(base, key):
                return self._member(base, key)
            case syntax.Call():
                return self._call(node)
            case syntax.Unary(operator, operand):
                return _unary(operator, self.compile(operand))
            case syntax.Binary(operator, left, right):
                return _binary(operator, self.compile(left), self.compile(right))
            case _:
                return self._compound(node)

    def _compound(self, node: Expression) -> Evaluate:  # noqa: PLR0911 - as above
        match node:
            case syntax.Between(operand, low, high):
                at_least = syntax.Binary(">=", operand, low)
                return self.compile(
                    syntax.Binary("AND", at_least, syntax.Binary("<=", operand, high))
                )
            case syntax.In(operand, choices):
                return _in(self.compile(operand), [self.compile(choice) for choice in choices])
            case syntax.Like(operand, pattern, escape):
                mark = None if escape is None else self.constant(escape)
                return _like(
                    self.compile(operand),
                    self.compile(pattern),
                    mark if isinstance(mark, str) else None,
                )
            case syntax.Conditional(test, yes, no):
                return _conditional(self.compile(test), self.compile(yes), self.compile(no))
            case syntax.ArrayOf(items):
                return _array([self.compile(item) for item in items])
            case syntax.ObjectOf(members):
                return _object([(name, self.compile(item)) for name, item in members])
            case syntax.Subquery(kind, query):
                return self._subquery(kind, query)
            case _:
                raise AssertionError(node)

    def _member(self, base: Expression, key: Expression) -> Evaluate:
        holder = self.compile(base)
        if isinstance(key, syntax.Literal) and isinstance(key.value, str):
            name = key.value

            def property_of(scope: Scope) -> Value:
                value = holder(scope)
                return value.get(name, UNDEFINED) if isinstance(value, dict) else UNDEFINED

            return property_of
        index = self.compile(key)
        return lambda scope: _element(holder(scope), index(scope))

    def _call(self, node: syntax.Call) -> Evaluate:
        if id(node) in self._given:
            return self._given[id(node)]
        if node.name in MOMENTS:
            moment = MOMENTS[node.name](self._now)
            return lambda _: moment
        if node.name not in FUNCTIONS:  # a search, where there is nothing to search in
            raise bad_request(f"{node.name} is not supported at this place.")
        function = FUNCTIONS[node.name].implementation
        arguments = [self.compile(argument) for argument in node.arguments]
        return lambda scope: function(*[argument(scope) for argument in arguments])

    def _subquery(self, kind: str, query: syntax.Query) -> Evaluate:
        if self.subquery is None:
            raise AssertionError("a compiler without subqueries")
        rows = self.subquery(query)
        if kind == "EXISTS":
            return lambda scope: bool(rows(scope))
        if kind == "ARRAY":
            return rows
        return lambda scope: next(iter(rows(scope)), UNDEFINED)


def _element(holder: Value, index: Value) -> Value:
    if isinstance(holder, dict) and isinstance(index, str):
        return holder.get(index, UNDEFINED)
    if (
        isinstance(holder, list)
        and is_number(index)
        and index == int(index)
        and 0 <= index < len(holder)
    ):
        return holder[int(index)]
    return UNDEFINED


def _unary(operator: str, operand: Evaluate) -> Evaluate:
    def negate(scope: Scope) -> Value:
        value = operand(scope)
        return not value if isinstance(value, bool) else UNDEFINED

    def sign(scope: Scope) -> Value:
        value = operand(scope)
        if not is_number(value):
            return UNDEFINED
        return -value if operator == "-" else value

    return negate if operator == "NOT" else sign


def _binary(operator: str, left: Evaluate, right: Evaluate) -> Evaluate:
    if operator in COMPARISONS:
        return lambda scope: compare(operator, left(scope), right(scope))
    if operator == "AND":
        return lambda scope: _and(left(scope), right, scope)
    if operator == "OR":
        return lambda scope: _or(left(scope), right, scope)
    if operator == "??":
        return lambda scope: right(scope) if isinstance(value := left(scope), Undefined) else value
    if operator == "||":
        return lambda scope: concat(left(scope), right(scope))
    return lambda scope: _arithmetic(operator, left(scope), right(scope))


def _and(left: Value, right: Evaluate, scope: Scope) -> Value:
    if left is False:
        return False
    value = right(scope)
    if value is False:
        return False
    return True if left is True and value is True else UNDEFINED


def _or(left: Value, right: Evaluate, scope: Scope) -> Value:
    if left is True:
        return True
    value = right(scope)
    if value is True:
        return True
    return False if left is False and value is False else UNDEFINED


def _arithmetic(operator: str, left: Value, right: Value) -> Value:
    if not is_number(left) or not is_number(right):
        return UNDEFINED
    a, b = left, right
    operations: dict[str, Callable[[], float]] = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / b,
        "%": lambda: math.fmod(a, b),
    }
    return finite(operations[operator])


def _in(operand: Evaluate, choices: list[Evaluate]) -> Evaluate:
    def member(scope: Scope) -> Value:
        value = operand(scope)
        return (
            UNDEFINED
            if isinstance(value, Undefined)
            else any(equal(value, choice(scope)) for choice in choices)
        )

    return member


def _like(operand: Evaluate, pattern: Evaluate, escape: str | None) -> Evaluate:
    def matches(scope: Scope) -> Value:
        text, form = operand(scope), pattern(scope)
        if not isinstance(text, str) or not isinstance(form, str):
            return UNDEFINED
        return like_pattern(form, escape).fullmatch(text) is not None

    return matches


def _conditional(test: Evaluate, yes: Evaluate, no: Evaluate) -> Evaluate:
    return lambda scope: yes(scope) if test(scope) is True else no(scope)


def _array(items: list[Evaluate]) -> Evaluate:
    return lambda scope: [
        value for item in items if not isinstance(value := item(scope), Undefined)
    ]


def _object(members: list[tuple[str, Evaluate]]) -> Evaluate:
    return lambda scope: {
        name: value for name, item in members if not isinstance(value := item(scope), Undefined)
    }
