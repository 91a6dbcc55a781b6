"""The OpenAPI document: complete, by our own rules, and true for any input."""

import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig

from devtools.openapi_document import build_document
from tests.support.app import Keepsake
from tests.support.model_server import ModelServer
from tests.support.served import served

SLOW = bool(os.environ.get("KEEPSAKE_SLOW"))
DOCUMENT = build_document()
OPERATIONS = {
    operation["operationId"]: operation
    for item in DOCUMENT["paths"].values()
    for operation in item.values()
}
CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {"mode": "all"},
        "checks": {
            # JSON Schema cannot express byte limits and the rule of ids: valid input may be a 400.
            "positive_data_acceptance": {"enabled": False},
            # Each AUTH_MODE accepts one scheme; tests/http/test_principal.py tests the others.
            "ignored_auth": {"enabled": False},
            "negative_data_rejection": {
                "expected-statuses": ["400", "401", "403", "404", "405", "409", "412", "413"]
            },
        },
    }
)
contract = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_fully_documented(name: str) -> None:
    """Each operation has a summary, a description, one tag, its security and its errors."""
    operation = OPERATIONS[name]
    assert [
        word
        for word in ("summary", "description", "tags", "security", "responses")
        if word not in operation
    ] == []
    assert len(operation["tags"]) == 1
    assert {status for status in operation["responses"] if status >= "400"} >= expected_errors(
        operation
    )


def test_operation_ids_are_unique() -> None:
    """Generated clients name their methods after operation ids."""
    assert len(OPERATIONS) == sum(len(item) for item in DOCUMENT["paths"].values())


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_parameter_is_documented(name: str) -> None:
    """Each parameter has a description."""
    parameters = OPERATIONS[name].get("parameters", [])
    assert [parameter["name"] for parameter in parameters if not parameter.get("description")] == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_request_fields_are_bounded(name: str) -> None:
    """Every string in a request has a maximum length, format or enum, and every list a maximum."""
    request = {
        word: part
        for word, part in OPERATIONS[name].items()
        if word in {"requestBody", "parameters"}
    }
    assert [schema for schema in schemas_in(request) if is_unbounded(schema)] == []


def test_every_response_documents_its_request_id() -> None:
    """Each response documents its request id header."""
    answers = [
        (status, a)
        for operation in OPERATIONS.values()
        for status, a in operation["responses"].items()
    ]
    assert [
        status for status, answer in answers if "x-ms-request-id" not in answer["headers"]
    ] == []


@pytest.mark.anyio
async def test_etags_are_documented_where_they_are_sent(keepsake: Keepsake) -> None:
    """The header is documented exactly where it is sent."""
    await keepsake.chat()
    paths = {
        "read_session": "/sessions/s",
        "read_preferences": "/preferences",
        "list_sessions": "/sessions",
    }
    async with keepsake.client() as client:
        has_etag = {
            name: "etag" in (await client.get(path)).headers for name, path in paths.items()
        }
    assert has_etag == {
        name: "ETag" in OPERATIONS[name]["responses"]["200"]["headers"] for name in paths
    }
    assert has_etag == {"read_session": True, "read_preferences": True, "list_sessions": False}


def test_no_schema_is_unused() -> None:
    """Each schema is used by an operation, directly or through another schema."""
    used = {schema["$ref"] for schema in schemas_in(DOCUMENT["paths"]) if "$ref" in schema}
    made = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "headers")
        for name in DOCUMENT["components"][kind]
    }
    assert used == made


@pytest.fixture(scope="module")
def address(model_server: ModelServer) -> Iterator[str]:
    """The application, served on loopback."""
    with served(model_server) as url:
        yield url


def expected_errors(operation: dict[str, Any]) -> set[str]:
    """The errors that an operation must document: general ones, a user's, and those of a body."""
    of_a_user = set() if operation["tags"] == ["service"] else {"400", "401", "403", "503"}
    return {"500"} | of_a_user | ({"413"} if "requestBody" in operation else set())


def schemas_in(part: Any, followed: frozenset[str] = frozenset()) -> Iterator[dict[str, Any]]:
    """Every object within a part of the document, following references."""
    if isinstance(part, list):
        for item in part:
            yield from schemas_in(item, followed)
    if isinstance(part, dict):
        yield part
        name = str(part.get("$ref", "")).removeprefix("#/components/schemas/")
        if name in DOCUMENT["components"]["schemas"] and name not in followed:
            yield from schemas_in(DOCUMENT["components"]["schemas"][name], followed | {name})
        for item in part.values():
            yield from schemas_in(item, followed)


def is_unbounded(schema: dict[str, Any]) -> bool:
    """Whether a schema accepts a string or a list of any length."""
    if schema.get("type") == "string":
        return schema.keys().isdisjoint({"maxLength", "format", "enum", "const"})
    return schema.get("type") == "array" and "maxItems" not in schema


def _fuzz(operation_id: str) -> Any:
    @contract.include(operation_id=operation_id).parametrize()
    @hypothesis.settings(max_examples=300 if SLOW else 5, deadline=None)
    def test(case: schemathesis.Case[Any], address: str) -> None:
        """No 500, no undocumented status or type, valid responses, and invalid input is refused."""
        case.call_and_validate(base_url=address, headers={"x-user-id": "fuzz"})

    return test


# One named test per operation: schemathesis would give all tests of one function the same id.
globals().update(
    {f"test_whatever_is_sent_{name}_keeps_the_contract": _fuzz(name) for name in OPERATIONS}
)
