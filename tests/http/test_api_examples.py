"""The examples of the API document work as they are, and it shows only what applies here."""

from typing import Any

import httpx
import pytest

from cosmos_local import LocalCosmos
from shared.settings import AuthMode
from tests.support.app import Keepsake, running
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio
FIRST = ("chat", "put_turn", "put_data", "replace_preferences")  # the others find what these store
SCHEMES = [
    (AuthMode.LOCAL, {"user"}),
    (AuthMode.KEY, {"function_key", "user"}),
    (AuthMode.ENTRA, {"bearer", "function_key", "user"}),
]


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """The examples do not depend on a session cache."""
    return {}


def example_of(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    """The first example of a schema, or of the one it refers to."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema["examples"][0]


def request_of(
    method: str, path: str, operation: dict[str, Any], document: dict[str, Any]
) -> httpx.Request:
    """The request that the docs page offers to send for an operation."""
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path" and "examples" in parameter["schema"]:
            value = parameter["schema"]["examples"][0]
            path = path.replace(f"{{{parameter['name']}}}", value)
    body = None
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        body = example_of(content["schema"], document)
    url = f"http://127.0.0.1{path}".replace("{asset}", "favicon.png")
    return httpx.Request(method, url, json=body, headers={"x-user-id": "ada"})


def order(item: tuple[str, str]) -> tuple[bool, bool]:
    """Store first, delete last."""
    name, method = item
    return name not in FIRST, method == "delete"


async def test_every_example_is_accepted(keepsake: Keepsake) -> None:
    """A reader who presses "Execute" on any operation of the docs page gets no error."""
    document = await keepsake.get("/openapi.json")
    requests = {
        (operation["operationId"], method): request_of(method, path, operation, document)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    async with keepsake.client(None) as client:
        answers = {
            name: await client.send(requests[name, method])
            for name, method in sorted(requests, key=order)
        }
    refused = {name: answer.text for name, answer in answers.items() if not answer.is_success}
    assert refused == {}


@pytest.mark.parametrize(("mode", "schemes"), SCHEMES)
async def test_only_enabled_security_schemes_are_documented(
    cosmos: LocalCosmos, model: ModelServer, mode: AuthMode, schemes: set[str]
) -> None:
    """The docs page asks only for credentials that the deployment checks."""
    entra: dict[str, Any] = {
        "entra_tenant_ids": "0" * 8 + "-0000-0000-0000-" + "0" * 12,
        "entra_audience": "api",
    }
    async with running(cosmos, model, auth_mode=mode, **entra) as app:
        document = await app.get("/openapi.json")
    used = {
        name
        for item in document["paths"].values()
        for operation in item.values()
        for alternative in operation["security"]
        for name in alternative
    }
    assert used == set(document["components"]["securitySchemes"]) == schemes


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_the_root_redirects_to_the_docs_page(keepsake: Keepsake, path: str) -> None:
    """A browser that opens the address of `make run` finds the documentation."""
    async with keepsake.client(None) as client:
        answer = await client.get(f"http://127.0.0.1{path}", follow_redirects=True)
    assert (answer.status_code, str(answer.url)) == (200, "http://127.0.0.1/api/docs")
