"""What a container's policies allow a query to do."""

from __future__ import annotations

from cosmos_local import syntax
from cosmos_local.containers import Definition
from cosmos_local.errors import CROSS_PARTITION_NOT_SERVABLE, Refusal, bad_request
from cosmos_local.keys import Path
from cosmos_local.syntax import Query
from cosmos_local.values import Value

_NO_COMPOSITE = (
    "The order by query does not have a corresponding composite index that it can be served from."
)


def check_indexes(query: Query, definition: Definition) -> None:
    """Refuse an ORDER BY that no index serves."""
    keys = query.order_by
    if not keys or is_vector_order(query):
        return
    paths = [(_document_path(query, key.expression), key.descending) for key in keys]
    if len(paths) == 1:
        if not definition.indexing.covers(paths[0][0]):
            raise bad_request(
                "The order-by item requires a range index to be defined on the corresponding "
                "index path."
            )
        return
    if not definition.indexing.orders(tuple(paths)):
        raise bad_request(_NO_COMPOSITE)


def is_vector_order(query: Query) -> bool:
    """Tell whether the query orders by vector distance."""
    return any(
        isinstance(key.expression, syntax.Call) and key.expression.name == "VECTORDISTANCE"
        for key in query.order_by
    )


def check_servable(query: Query, definition: Definition) -> None:
    """Refuse with 400/1004 what a gateway leaves to the SDK, which then asks for the plan."""
    aggregates = any(syntax.aggregates_in(column) for column in query.columns)
    features = {
        "ORDER BY": bool(query.order_by),
        "ORDER BY RANK": query.rank is not None,
        "TOP": query.top is not None,
        "OFFSET LIMIT": query.limit is not None,
        "DISTINCT": query.distinct,
        "Aggregate": aggregates and not query.group_by,
        "GROUP BY": bool(query.group_by) and not _groups_by_key(query, definition),
    }
    if any(source.query is not None and _is_whole(source.query) for source in query.sources):
        raise bad_request(
            "A subquery in FROM that counts, limits or compares documents needs a partition key."
        )
    used = [name for name, present in features.items() if present]
    if used:
        message = (
            "The provided cross partition query can not be directly served by the gateway. "
            "It uses: "
        )
        raise Refusal(400, message + ", ".join(used), CROSS_PARTITION_NOT_SERVABLE)


def cross_partition_refused() -> Refusal:
    """Refuse a query over all partitions that does not say it means them."""
    return bad_request(
        "Cross partition query is required but disabled. Please set "
        "x-ms-documentdb-query-enablecrosspartition to true, specify "
        "x-ms-documentdb-partitionkey, or revise your query to avoid this exception."
    )


def check_limits(query: Query) -> None:
    """Refuse a search without a limit, and a ranked one whose limit is no number in the text."""
    if (
        (query.rank is not None or is_vector_order(query))
        and query.top is None
        and query.limit is None
    ):
        raise bad_request("A query with ORDER BY RANK or VectorDistance needs TOP or OFFSET LIMIT.")
    amounts = (query.top, query.offset, query.limit)
    if query.rank is not None and any(isinstance(amount, syntax.Parameter) for amount in amounts):
        raise bad_request(
            "A query with ORDER BY RANK needs a number literal after TOP, OFFSET and LIMIT."
        )


def read_parameters(parameters: Value) -> dict[str, Value]:
    """Read the parameters of a query body."""
    if not isinstance(parameters, list | None):
        raise bad_request("The query parameters must be an array.")
    found: dict[str, Value] = {}
    for entry in parameters or []:
        if (
            not isinstance(entry, dict)
            or entry.keys() != {"name", "value"}
            or not isinstance(entry["name"], str)
        ):
            raise bad_request("A query parameter needs exactly 'name' and 'value'.")
        if not entry["name"].startswith("@") or entry["name"] in found:
            raise bad_request(
                f"The query parameter '{entry['name']}' has no '@' or is given twice."
            )
        found[entry["name"]] = entry["value"]
    return found


def _document_path(query: Query, expression: syntax.Expression) -> Path:
    path = syntax.path_of(expression)
    if (
        path is None
        or len(path) < 2  # noqa: PLR2004
        or len(query.sources) != 1
        or path[0] != query.sources[0].alias
    ):
        raise bad_request(
            "Unsupported ORDER BY clause. ORDER BY item expression could not be mapped to a "
            "document path."
        )
    source = query.sources[0]
    base = (
        None if source.expression is None or source.iterates else syntax.path_of(source.expression)
    )
    if base is None:
        raise bad_request("Unsupported ORDER BY clause. ORDER BY needs FROM a container.")
    return (*base[1:], *path[1:])


def _is_whole(query: Query) -> bool:
    """Tell whether a subquery's result is more than its results for each document."""
    aggregates = any(syntax.aggregates_in(column) for column in query.columns)
    return aggregates or query.distinct or query.top is not None or bool(query.group_by)


def _groups_by_key(query: Query, definition: Definition) -> bool:
    """Tell whether no group can have members in two partitions."""
    if len(query.sources) != 1:
        return False
    paths = {syntax.path_of(expression) for expression in query.group_by}
    return all((query.sources[0].alias, *key) in paths for key in definition.key.paths)
