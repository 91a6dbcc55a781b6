"""An account that clients may shape, and raw requests to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from azure.cosmos import ContainerProxy, CosmosClient

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos, WireRequest, WireResponse
from cosmos_local.authority import sign


@contextmanager
def an_account(**options: Any) -> Iterator[tuple[LocalCosmos, CosmosClient]]:
    """Open an account in memory, with a client of the synchronous SDK."""
    cosmos = LocalCosmos.open(None, allow_create=True, **options)
    client = CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=cosmos.sync_transport())
    try:
        yield cosmos, client
    finally:
        client.close()
        cosmos.close()


def a_container(client: CosmosClient, **properties: object) -> ContainerProxy:
    """Create the container c, keyed by /pk, in the database db."""
    database = client.create_database_if_not_exists("db")
    body = {"id": "c", "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}}
    database.client_connection.CreateContainer("dbs/db", body | properties)
    return database.get_container_client("c")


def rows_of(container: ContainerProxy, query: str, key: Any = "a", **values: object) -> list[Any]:
    """Run a query of one partition."""
    parameters: list[dict[str, object]] = [
        {"name": f"@{name}", "value": value} for name, value in values.items()
    ]
    return list(container.query_items(query, parameters=parameters, partition_key=key))


def send(
    cosmos: LocalCosmos, method: str, path: str, body: object = None, **headers: str
) -> WireResponse:
    """Send a signed request past the SDK; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    payload = b"" if body is None else json.dumps(body).encode()
    return cosmos.gateway.respond(
        WireRequest(method, path, named | sign(method, path, LOCAL_KEY), payload)
    )
