"""Refuses what a query may not say, before any document is read."""

from __future__ import annotations

from collections.abc import Mapping

from cosmos_local import syntax
from cosmos_local.errors import Refusal, bad_request, sql_error
from cosmos_local.functions import FUNCTIONS
from cosmos_local.syntax import AGGREGATES, Expression, Place, Query, Source
from cosmos_local.values import Value

SCORES = frozenset({"FULLTEXTSCORE", "RRF"})
SEARCHES = {"VECTORDISTANCE": (2, 4), "FULLTEXTCONTAINS": (2, 2), "FULLTEXTCONTAINSALL": (2, 11),
            "FULLTEXTCONTAINSANY": (2, 31), "FULLTEXTSCORE": (2, 10_000), "RRF": (2, 11),
            "_FULLTEXTSCORE": (5, 5), "_FULLTEXTWORDCOUNT": (1, 1)}  # fmt: skip
MOMENTS = frozenset({"GETCURRENTTIMESTAMP", "GETCURRENTTICKS", "GETCURRENTDATETIME"})


def check(query: Query, parameters: Mapping[str, Value], *, internal: bool = False) -> None:
    """Raise a 400 that points at the first thing the service would not accept.

    `internal` queries are parts of a query plan; only they may call the functions whose names
    start with `_`.
    """
    _Checker(parameters, internal=internal).query(query, frozenset(), outermost=True)


class _Checker:
    def __init__(self, parameters: Mapping[str, Value], *, internal: bool) -> None:
        self._parameters = parameters
        self._internal = internal

    def query(
        self, query: Query, outer: frozenset[str], *, outermost: bool, root: bool = True
    ) -> None:
        """Check one SELECT; `root` says whether its FROM may start at the container."""
        names = self._sources(query, outer, root=root)
        _check_shape(query, outermost=outermost)
        for expression in (query.top, query.offset, query.limit):
            self._expression(expression, frozenset())
        self._expression(query.where, names)
        for key in query.group_by:
            self._expression(key, names)
        for order in query.order_by:
            self._expression(order.expression, names)
        self._expression(query.rank, names, scores=True)
        for column in query.columns:
            self._expression(column.expression, names, aggregates=True)
        _check_groups(query)

    def _sources(self, query: Query, outer: frozenset[str], *, root: bool) -> frozenset[str]:
        names = outer
        for position, source in enumerate(query.sources):
            at_root = root and position == 0
            if source.query is not None:
                self.query(source.query, names, outermost=False, root=at_root)
            elif source.expression is not None:
                self._expression(
                    source.expression, names | _root_name(source) if at_root else names
                )
            if source.alias in names - outer:
                raise _refuse(
                    "SC2012",
                    f"The input alias '{source.alias}' is specified more than once.",
                    source.place,
                )
            names |= {source.alias}
        return names

    def _expression(
        self,
        node: Expression | None,
        names: frozenset[str],
        *,
        aggregates: bool = False,
        scores: bool = False,
    ) -> None:
        for part in syntax.walk(node):
            match part:
                case syntax.Name(name, place) if name not in names:
                    raise _refuse("SC2001", f"Identifier '{name}' could not be resolved.", place)
                case syntax.Parameter(name, place) if name not in self._parameters:
                    raise _refuse(
                        "SC2001",
                        f"The parameter '{name}' is not among the query's parameters.",
                        place,
                    )
                case syntax.Call(called, _, place) if called.startswith("_") and not self._internal:
                    raise _unknown_function(called, place)
                case syntax.Call():
                    _check_call(part, aggregates=aggregates, scores=scores)
                case syntax.Subquery(_, query):
                    self.query(query, names, outermost=False, root=False)
                case syntax.ObjectOf(members) if len({name for name, _ in members}) < len(members):
                    raise bad_request("An object expression names a property twice.")


def _check_call(call: syntax.Call, *, aggregates: bool, scores: bool) -> None:
    if call.name in AGGREGATES:
        if not aggregates:
            raise _refuse(
                "SC2102", f"The aggregate {call.name} is only valid in the SELECT list.", call.place
            )
        if any(syntax.aggregates_in(argument) for argument in call.arguments):
            raise _refuse("SC2102", "An aggregate cannot contain another aggregate.", call.place)
        least = most = 1
    elif call.name in SCORES and not scores:
        raise _refuse("SC2050", f"{call.name} is only valid in ORDER BY RANK.", call.place)
    elif call.name in SEARCHES:
        least, most = SEARCHES[call.name]
    elif call.name in MOMENTS:
        least = most = 0
    elif call.name in FUNCTIONS:
        least, most = FUNCTIONS[call.name].least, FUNCTIONS[call.name].most
    else:
        raise _unknown_function(call.name, call.place)
    if not least <= len(call.arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise _refuse(
            "SC2006", f"The {call.name} function requires {wanted} argument(s).", call.place
        )


def _check_shape(query: Query, *, outermost: bool) -> None:
    if not query.columns and not query.sources:
        raise bad_request("'SELECT *' is not valid if FROM clause is omitted.")
    if not query.columns and len(query.sources) > 1:
        raise bad_request("'SELECT *' is only valid with a single input set.")
    if query.where is not None and not query.sources:
        raise bad_request("A WHERE clause needs a FROM clause.")
    if query.top is not None and query.limit is not None:
        raise bad_request("TOP cannot be used together with OFFSET LIMIT.")
    if query.distinct and any(key.expression not in _selected(query) for key in query.order_by):
        raise bad_request("With DISTINCT, ORDER BY can only use what is selected.")
    if query.rank is not None and len(query.sources) != 1:
        raise bad_request("ORDER BY RANK cannot be combined with JOIN.")
    if not outermost and (query.order_by or query.rank or query.limit is not None):
        raise bad_request("ORDER BY and OFFSET LIMIT are not supported in subqueries.")
    names = [name for column in query.columns if (name := syntax.column_name(column)) is not None]
    if not query.value and len(set(names)) < len(names):
        raise bad_request("The SELECT list names a property twice; use AS.")


def _selected(query: Query) -> list[Expression]:
    return [column.expression for column in query.columns]


def _check_groups(query: Query) -> None:
    grouped = bool(query.group_by) or any(syntax.aggregates_in(column) for column in query.columns)
    if not grouped:
        return
    if query.rank or (query.group_by and query.order_by):
        raise bad_request("ORDER BY cannot be combined with GROUP BY, or RANK with aggregates.")
    if not query.columns:
        raise bad_request("'SELECT *' cannot be combined with GROUP BY.")
    for column in query.columns:
        _check_grouped(column.expression, query.group_by)


def _check_grouped(node: object, keys: tuple[Expression, ...]) -> None:
    if node in keys or (isinstance(node, syntax.Call) and node.name in AGGREGATES):
        return
    if isinstance(node, syntax.Name):
        message = (
            "is invalid in the select list because it is in neither an aggregate nor the "
            "GROUP BY clause."
        )
        raise _refuse("SC2103", f"Property reference '{node.name}' {message}", node.place)
    if isinstance(node, syntax.Subquery):
        raise bad_request("A subquery cannot stand beside an aggregate or GROUP BY.")
    for part in syntax.children(node):
        _check_grouped(part, keys)


def _root_name(source: Source) -> frozenset[str]:
    name = syntax.leading_name(source)
    return frozenset() if name is None else frozenset({name})


def _unknown_function(name: str, place: Place) -> Refusal:
    return _refuse("SC2005", f"'{name}' is not a recognized built-in function name.", place)


def _refuse(code: str, message: str, place: Place) -> Refusal:
    return sql_error(code, message, place.start, place.end)
