"""Health, the OpenAPI document and the documentation page."""

import re
from collections.abc import MutableMapping
from typing import Any

import pytest

from cosmos_local import Fault, LocalCosmos
from local.model import Behaviour
from tests.support.app import Keepsake, running
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """These tests do not depend on the session cache."""
    return {}


async def test_liveness_does_not_depend_on_the_stores(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Liveness is 200 whatever the stores do, and has a request id."""
    cosmos.faults.add(Fault(status=503, times=100))
    async with keepsake.client(None) as client:
        answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["x-ms-request-id"]


async def test_liveness_does_not_depend_on_the_exporter(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """An exporter that cannot be created does not affect liveness."""
    broken = "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint"
    async with (
        running(cosmos, model, applicationinsights_connection_string=broken) as app,
        app.client() as client,
    ):
        answers = [await client.get(path) for path in ("/health", "/sessions")]
    assert [answer.status_code for answer in answers] == [200, 500]
    assert answers[1].json()["error"]["code"] == "internal_error"


async def test_readiness_names_the_unavailable_dependency(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Readiness is 503 and names the dependency that does not answer."""
    cosmos.faults.add(Fault(status=503, times=100))
    async with keepsake.client(None) as client:
        answer = await client.get("/health/ready")
    checks = {name: check["status"] for name, check in answer.json()["checks"].items()}
    assert (answer.status_code, checks) == (503, {"cosmos": "unavailable", "model": "ok"})


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (Behaviour(), "ok"),
        (Behaviour(status=404, body='{"error": {"code": "DeploymentNotFound"}}'), "unavailable"),
        (Behaviour(body='{"data": []}'), "unavailable"),
    ],
    ids=["available", "no such deployment", "no vector"],
)
async def test_readiness_asks_the_embedding_model_for_a_vector(
    cosmos: LocalCosmos, model: ModelServer, behaviour: Behaviour, status: str
) -> None:
    """A wrong deployment name turns readiness red; a server need not list its models."""
    model.embedding_script.append(behaviour)
    async with (
        running(cosmos, model, embedding_model="scripted") as app,
        app.client(None) as client,
    ):
        answer, again = [await client.get("/health/ready") for _ in range(2)]
    assert again.json() == answer.json()  # checked at most every five seconds
    assert answer.json()["checks"]["embeddings"]["status"] == status
    assert answer.status_code == (200 if status == "ok" else 503)
    assert len(model.embedding_requests) == 1


async def test_the_documentation_loads_no_external_files(keepsake: Keepsake) -> None:
    """The page refers only to files that the app serves itself."""
    async with keepsake.client(None) as client:
        page = (await client.get("/docs?code=k")).text
        addresses = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
        statuses = {address: (await client.get(f"/{address}")).status_code for address in addresses}
    assert set(statuses.values()) == {200}
    assert all(address.endswith("?code=k") for address in addresses)
    assert "http" not in "".join(addresses)


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_health_probes_may_use_head(keepsake: Keepsake, path: str) -> None:
    """Some load balancers probe with HEAD by default."""
    async with keepsake.client(None) as client:
        answer = await client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_responses_are_not_cached(keepsake: Keepsake) -> None:
    """Responses are never cached, except the documentation's static files."""
    async with keepsake.client() as client:
        headers = [
            (await client.get(path)).headers["cache-control"]
            for path in ("/sessions", "/docs/favicon.png")
        ]
    assert headers == ["no-store", "public, max-age=86400"]


async def test_the_documentation_escapes_the_query_string(keepsake: Keepsake) -> None:
    """The query string is escaped in the page; not every client encodes it."""
    page = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: MutableMapping[str, Any]) -> None:
        page.extend(message.get("body", b""))

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/docs",
        "query_string": b'code=k"><script>',
        "headers": [],
    }
    await keepsake.api(scope | {"headers": [(b"host", b"127.0.0.1")]}, receive, send)
    assert b"swagger-ui.css?code=k" in page
    assert b'code=k"' not in page


async def test_every_operation_documents_the_same_error_format(keepsake: Keepsake) -> None:
    """Every documented error is the envelope, and 422 means the content filter only."""
    document = await keepsake.get("/openapi.json")
    errors = {
        (operation["operationId"], status): answer["content"]["application/json"]["schema"].get(
            "$ref", ""
        )
        for item in document["paths"].values()
        for operation in item.values()
        for status, answer in operation["responses"].items()
        if status >= "400" and operation["operationId"] != "read_readiness"
    }
    assert set(errors.values()) == {"#/components/schemas/ErrorEnvelope"}
    assert {operation for operation, status in errors if status == "422"} == {"chat"}


async def test_a_wrong_method_is_405_with_the_allowed_ones(keepsake: Keepsake) -> None:
    """Outside the Functions host, 405 lists every method of the path."""
    async with keepsake.client() as client:
        answer = await client.post("/sessions/s")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, PATCH")
