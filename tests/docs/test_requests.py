"""The requests of test.http work, one after the other."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.app import Keepsake

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = (ROOT / "test.http").read_text()
VARIABLES = dict(re.findall(r"^@(\w+) = (\S+)$", SOURCE, re.MULTILINE))
PATHS: dict[str, dict[str, Any]] = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """These promises do not depend on a session cache."""
    return {}


async def test_every_request_works_in_order(keepsake: Keepsake) -> None:
    """Whoever sends them one after the other, as they stand, gets answers."""
    async with keepsake.client(None) as client:
        answers = [await client.send(request) for request in REQUESTS]
    assert [
        (answer.url.path, answer.status_code) for answer in answers if not answer.is_success
    ] == []


def test_every_operation_is_there_once() -> None:
    """The file has each operation of the contract, and no other request."""
    contract = [(method, path) for path, item in PATHS.items() for method in item]
    assert sorted(operation(request) for request in REQUESTS) == sorted(contract)


def operation(request: httpx.Request) -> tuple[str, str]:
    """Return the operation a request is meant for; a literal path beats one with a parameter."""
    matching = [
        path for path in PATHS if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.url.path)
    ]
    return request.method.lower(), min(matching, key=lambda path: path.count("{"))


def parse(written: str) -> httpx.Request:
    """One request: its line, headers, an empty line, its body."""
    head, _, body = re.sub(r"\{\{(\w+)\}\}", lambda name: VARIABLES[name[1]], written).partition(
        "\n\n"
    )
    _, line, *headers = head.splitlines()
    method, url = line.split()
    return httpx.Request(
        method, url, headers=dict(header.split(": ", 1) for header in headers), content=body.strip()
    )


REQUESTS = [parse(part) for part in re.split(r"^###", SOURCE, flags=re.MULTILINE)[1:]]
