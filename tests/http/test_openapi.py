"""The OpenAPI document is the contract: complete, by our own rules, and kept, whatever a caller sends."""

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
            # Limits in bytes, and the rule of ids, cannot be said in JSON Schema: what fits it may still be a 400.
            "positive_data_acceptance": {"enabled": False},
            # Each AUTH_MODE takes one of the schemes; what is no proof is in tests/http/test_principal.py.
            "ignored_auth": {"enabled": False},
            "negative_data_rejection": {
                "expected-statuses": ["400", "401", "403", "404", "405", "409", "412", "413"]
            },
        },
    }
)
contract = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_told_whole(name: str) -> None:
    """Each has a summary, a description, one tag, who may call it, and what it answers when it goes wrong."""
    told = OPERATIONS[name]
    assert [
        word
        for word in ("summary", "description", "tags", "security", "responses")
        if word not in told
    ] == []
    assert len(told["tags"]) == 1
    assert {status for status in told["responses"] if status >= "400"} >= expected_errors(told)


def test_operation_ids_are_unique() -> None:
    """Generated clients name their methods by them."""
    assert len(OPERATIONS) == sum(len(item) for item in DOCUMENT["paths"].values())


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_parameter_is_told(name: str) -> None:
    """Each parameter says what it is."""
    told = OPERATIONS[name].get("parameters", [])
    assert [parameter["name"] for parameter in told if not parameter.get("description")] == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_sent_is_bounded(name: str) -> None:
    """Every text a request may have has a length, a format or a list of values, and every list a length."""
    sent = {
        word: part
        for word, part in OPERATIONS[name].items()
        if word in {"requestBody", "parameters"}
    }
    assert [schema for schema in schemas_in(sent) if is_unbounded(schema)] == []


def test_every_answer_names_its_request() -> None:
    """Each answer documents the header that support asks for, and each error the one that programs read."""
    answers = [
        (status, a) for told in OPERATIONS.values() for status, a in told["responses"].items()
    ]
    assert [
        status for status, answer in answers if "x-ms-request-id" not in answer["headers"]
    ] == []


@pytest.mark.anyio
async def test_whoever_is_given_an_etag_was_told_of_it(keepsake: Keepsake) -> None:
    """The header is documented where it is sent, and nowhere else."""
    await keepsake.chat()
    paths = {
        "read_session": "/sessions/s",
        "read_preferences": "/preferences",
        "list_sessions": "/sessions",
    }
    async with keepsake.client() as client:
        sent = {name: "etag" in (await client.get(path)).headers for name, path in paths.items()}
    assert sent == {
        name: "ETag" in OPERATIONS[name]["responses"]["200"]["headers"] for name in paths
    }
    assert sent == {"read_session": True, "read_preferences": True, "list_sessions": False}


def test_no_schema_is_left_over() -> None:
    """Each schema is used by an operation, directly or by another schema."""
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


def expected_errors(told: dict[str, Any]) -> set[str]:
    """The errors an operation must document: of all, of a user's, of one with a body."""
    of_a_user = set() if told["tags"] == ["service"] else {"400", "401", "403", "503"}
    return {"500"} | of_a_user | ({"413"} if "requestBody" in told else set())


def schemas_in(part: Any, followed: frozenset[str] = frozenset()) -> Iterator[dict[str, Any]]:
    """Every object within a part of the document, references followed."""
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
    """Whether it lets a text or a list of any length in."""
    if schema.get("type") == "string":
        return schema.keys().isdisjoint({"maxLength", "format", "enum", "const"})
    return schema.get("type") == "array" and "maxItems" not in schema


def _fuzz(operation_id: str) -> Any:
    @contract.include(operation_id=operation_id).parametrize()
    @hypothesis.settings(max_examples=300 if SLOW else 5, deadline=None)
    def test(case: schemathesis.Case[Any], address: str) -> None:
        """No 500, no status or type that is not documented, every answer as its schema says; nonsense is refused."""
        case.call_and_validate(base_url=address, headers={"x-user-id": "fuzz"})

    return test


# One test per operation, by a name of its own: those that schemathesis makes of one function share an id, and get lost.
globals().update(
    {f"test_whatever_is_sent_{name}_keeps_the_contract": _fuzz(name) for name in OPERATIONS}
)
