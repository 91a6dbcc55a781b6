"""The OpenTelemetry operation name of a Cosmos DB request."""

from collections.abc import Mapping

SYSTEM = "azure.cosmosdb"
BY_HEADER = {
    "x-ms-cosmos-is-batch-request": "execute_batch",
    "x-ms-documentdb-isquery": "query_items",
    "x-ms-documentdb-is-upsert": "upsert_item",
}
BY_METHOD = {
    "GET": "read_item",
    "POST": "create_item",
    "PUT": "replace_item",
    "PATCH": "patch_item",
    "DELETE": "delete_item",
}


def operation_of(method: str, url: str, headers: Mapping[str, str]) -> tuple[str, str | None]:
    """The operation and its container, derived from the HTTP request.

    The SDK also reads the account and each container once.
    """
    collection, _, rest = url.partition("/colls/")[2].partition("/")
    if not collection:
        return "read_account", None
    if not rest.startswith("docs"):
        return "read_container", collection
    return next(
        (name for header, name in BY_HEADER.items() if header in headers), BY_METHOD[method]
    ), collection
