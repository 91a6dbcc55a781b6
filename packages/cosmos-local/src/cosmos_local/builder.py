"""Parse trees to syntax trees."""

from __future__ import annotations

import math
import re

from lark import Token, Transformer, v_args
from lark.tree import Meta

from cosmos_local import syntax
from cosmos_local.errors import sql_error
from cosmos_local.syntax import Expression, Place, Query
from cosmos_local.values import UNDEFINED

UNNAMED = "_unnamed"  # the alias of a subquery in FROM that is given none
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NO_ALIAS = frozenset(
    [
        "LEFT",
        "RIGHT",
        "INNER",
        "OUTER",
        "CROSS",
        "FULL",
        "HAVING",
        "UNION",
        "SET",
        "INTO",
        "LET",
        "UDF",
        "CASE",
        "WHEN",
        "ON",
        "IS",
        "WITH",
        "OVER",
    ]
)


@v_args(inline=True)
class _Clauses(Transformer[Token, Query]):
    """Builds the clauses of a SELECT."""

    def distinct(self) -> dict[str, object]:
        return {"distinct": True}

    def top(self, amount: Expression) -> dict[str, object]:
        return {"top": amount}

    def star(self) -> dict[str, object]:
        return {"columns": ()}

    def value(self, expression: Expression) -> dict[str, object]:
        return {"columns": (syntax.Column(expression, None),), "value": True}

    def columns(self, *columns: syntax.Column) -> dict[str, object]:
        return {"columns": columns}

    def column(self, expression: Expression, alias: Token | None = None) -> syntax.Column:
        return syntax.Column(expression, None if alias is None else _alias(alias))

    def where(self, expression: Expression) -> dict[str, object]:
        return {"where": expression}

    def group_by(self, *expressions: Expression) -> dict[str, object]:
        return {"group_by": expressions}

    def order_by(self, *keys: syntax.OrderKey) -> dict[str, object]:
        return {"order_by": keys}

    def order_key(self, expression: Expression, direction: Token | None = None) -> syntax.OrderKey:
        return syntax.OrderKey(expression, direction is not None and direction.type == "DESC")

    def rank(self, call: syntax.Call) -> dict[str, object]:
        return {"rank": call}

    def window(self, offset: Expression, limit: Expression) -> dict[str, object]:
        return {"offset": offset, "limit": limit}

    def query(self, *clauses: dict[str, object]) -> Query:
        merged = {name: part for clause in clauses for name, part in clause.items()}
        return Query(**merged)  # type: ignore[arg-type]  # each clause names the field it fills

    def predicate(self, *clauses: dict[str, object]) -> Query:
        return self.query(
            {"columns": (syntax.Column(syntax.Literal(1), None),), "value": True}, *clauses
        )


@v_args(inline=True)
class _Sources(Transformer[Token, Query]):
    """Builds the inputs of FROM and JOIN."""

    def inputs(self, *sources: syntax.Source) -> dict[str, object]:
        return {"sources": sources}

    def collection(self, path: Expression, alias: Token | None = None) -> syntax.Source:
        names = syntax.path_of(path)
        name = _alias(alias) if alias is not None else names[-1] if names else ""
        return syntax.Source(name, path, None, iterates=False, place=_first_place(path))

    def iterate(self, alias: Token, path: Expression) -> syntax.Source:
        return syntax.Source(_alias(alias), path, None, iterates=True, place=_place(alias))

    def derived(self, query: Query, alias: Token | None = None) -> syntax.Source:
        if alias is None:
            return syntax.Source(UNNAMED, None, query, iterates=False, place=syntax.NOWHERE)
        return syntax.Source(_alias(alias), None, query, iterates=False, place=_place(alias))


@v_args(inline=True)
class _Expressions(Transformer[Token, Query]):
    """Builds expressions."""

    def number(self, token: Token) -> Expression:
        return _number(token)

    def string(self, token: Token) -> Expression:
        return syntax.Literal(_unquote(token))

    def true(self) -> Expression:
        return syntax.Literal(value=True)

    def false(self) -> Expression:
        return syntax.Literal(value=False)

    def null(self) -> Expression:
        return syntax.Literal(None)

    def undefined(self) -> Expression:
        return syntax.Literal(UNDEFINED)

    def parameter(self, token: Token) -> Expression:
        return syntax.Parameter(str(token), _place(token))

    def name(self, token: Token) -> Expression:
        return syntax.Name(str(token), _place(token))

    def member(self, base: Expression, name: Token) -> Expression:
        return syntax.Member(base, syntax.Literal(str(name)))

    def index(self, base: Expression, key: Expression) -> Expression:
        return syntax.Member(base, key)

    def string_member(self, base: Expression, key: Token) -> Expression:
        return syntax.Member(base, syntax.Literal(_unquote(key)))

    def number_member(self, base: Expression, key: Token) -> Expression:
        return syntax.Member(base, _number(key))

    def unary(self, operator: Token, operand: Expression) -> Expression:
        return syntax.Unary(operator.upper(), operand)

    def either(self, *parts: Expression | Token) -> Expression:
        return _chain("OR", [part for part in parts if not isinstance(part, Token)])

    def both(self, *parts: Expression | Token) -> Expression:
        return _chain("AND", [part for part in parts if not isinstance(part, Token)])

    def binary(self, left: Expression, operator: Token, right: Expression) -> Expression:
        symbol = operator.upper()
        return syntax.Binary("!=" if symbol == "<>" else symbol, left, right)

    def conditional(self, test: Expression, yes: Expression, no: Expression) -> Expression:
        return syntax.Conditional(test, yes, no)

    def between(self, operand: Expression, *rest: Expression | Token) -> Expression:
        negated, (low, high) = _split(rest)
        return _negate_if(negated, syntax.Between(operand, low, high))

    def in_list(self, operand: Expression, *rest: Expression | Token) -> Expression:
        negated, choices = _split(rest)
        return _negate_if(negated, syntax.In(operand, choices))

    def like(self, operand: Expression, *rest: Expression | Token) -> Expression:
        escape = next(
            (part for part in rest if isinstance(part, Token) and part.type == "STRING"), None
        )
        negated, (pattern,) = _split(rest)
        node = syntax.Like(
            operand, pattern, None if escape is None else syntax.Literal(_unquote(escape))
        )
        return _negate_if(negated, node)

    def array(self, *items: Expression) -> Expression:
        return syntax.ArrayOf(items)

    def object(self, *members: tuple[str, Expression]) -> Expression:
        return syntax.ObjectOf(members)

    def object_member(self, key: Token, expression: Expression) -> tuple[str, Expression]:
        return (_unquote(key) if key.type == "STRING" else str(key)), expression

    def exists(self, query: Query) -> Expression:
        return syntax.Subquery("EXISTS", query)

    def array_query(self, query: Query) -> Expression:
        return syntax.Subquery("ARRAY", query)

    def scalar(self, query: Query) -> Expression:
        return syntax.Subquery("SCALAR", query)

    @v_args(inline=False, meta=True)
    def call(self, meta: Meta, children: list[Token | Expression]) -> Expression:
        name, *arguments = children
        place = Place(meta.start_pos, meta.start_pos + len(str(name)))
        return syntax.Call(
            str(name).upper(),
            tuple(part for part in arguments if not isinstance(part, Token)),
            place,
        )


class Builder(_Clauses, _Sources, _Expressions):
    """Builds the whole tree."""


def _unquote(token: Token) -> str:
    """Read a string literal; only the escapes of the service exist."""

    def unescape(match: re.Match[str]) -> str:
        code, mark = match.group(1), match.group(2)
        if code:
            return chr(int(code, 16))
        if mark in "\"'\\/":
            return str(mark)
        if mark in _ESCAPES:
            return _ESCAPES[mark]
        start = token.start_pos or 0
        raise sql_error(
            "SC1010", f"Syntax error, unknown escape '\\{mark}'.", start, start + len(token)
        )

    text = re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", unescape, token[1:-1], flags=re.DOTALL)
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _number(token: Token) -> syntax.Literal:
    if token.isdigit():
        return syntax.Literal(int(token) if len(token) <= 20 else float(token))  # noqa: PLR2004 - longer is a double
    value = float(token)
    if not math.isfinite(value):
        start = token.start_pos or 0
        raise sql_error(
            "SC1010",
            f"Syntax error, the number '{token}' is out of range.",
            start,
            start + len(token),
        )
    return syntax.Literal(value)


def _alias(token: Token) -> str:
    """Refuse words of SQL as aliases: `LEFT JOIN` must not become an alias and a JOIN."""
    if token.upper() in _NO_ALIAS:
        place = _place(token)
        raise sql_error(
            "SC1001", f"Syntax error, incorrect syntax near '{token}'.", place.start, place.end
        )
    return str(token)


def _place(token: Token) -> Place:
    start = token.start_pos or 0
    return Place(start, start + len(token))


def _chain(operator: str, parts: list[Expression]) -> Expression:
    """Join a chain as a balanced tree: long ones would be too deep to walk otherwise."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return syntax.Binary(
        operator, _chain(operator, parts[:middle]), _chain(operator, parts[middle:])
    )


def _split(rest: tuple[Expression | Token, ...]) -> tuple[bool, tuple[Expression, ...]]:
    negated = any(isinstance(part, Token) and part.type == "NOT" for part in rest)
    return negated, tuple(part for part in rest if not isinstance(part, Token))


def _negate_if(negated: bool, expression: Expression) -> Expression:  # noqa: FBT001 - private, one meaning
    return syntax.Unary("NOT", expression) if negated else expression


def _first_place(expression: Expression) -> Place:
    while isinstance(expression, syntax.Member):
        expression = expression.base
    return expression.place if isinstance(expression, syntax.Name) else Place(0, 0)
