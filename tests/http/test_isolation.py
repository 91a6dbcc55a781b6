"""User isolation: another user's resource looks like one that never existed."""

import re
from typing import Any

import httpx
import pytest

from cosmos_local import LocalCosmos
from tests.conftest import Rows
from tests.support.app import ADA, BEN, Keepsake
from tests.support.rows import replace_item

pytestmark = pytest.mark.anyio


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """These tests do not depend on the session cache."""
    return {}


TURN = {"messages": [{"role": "user", "content": "Hi"}]}
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/sessions/{}", None),
    ("PATCH", "/sessions/{}", {"title": "Mine"}),
    ("DELETE", "/sessions/{}", None),
    ("GET", "/sessions/{}/turns", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_another_users_session_looks_nonexistent_f13_f33(
    keepsake: Keepsake, method: str, path: str, body: Any
) -> None:
    """Another user's session has the same status and body as one that never existed."""
    await keepsake.chat("Ada's secret", session_id="adas")
    async with keepsake.client(BEN) as client:
        foreign = await client.request(method, path.format("adas"), json=body)
        missing = await client.request(method, path.format("never"), json=body)
    assert (foreign.status_code, _without_id(foreign)) == (
        missing.status_code,
        _without_id(missing),
    )
    assert foreign.status_code == (204 if method == "DELETE" else 404)
    assert len(await keepsake.transcript("adas")) == 1


async def test_another_users_session_id_creates_the_callers_own_session_f33(
    keepsake: Keepsake,
) -> None:
    """Chat and PUT under another user's session id write only to the caller's partition."""
    await keepsake.chat("Ada's secret", session_id="adas", turn_id="t1")
    async with keepsake.client(BEN) as client:
        put = await client.put("/sessions/adas/turns/t1", json=TURN)
    chat = await keepsake.chat("Ben here", user=BEN, session_id="adas")
    assert (put.status_code, chat.json()["seq"]) == (201, 2)
    assert "secret" not in chat.text
    assert [turn["seq"] for turn in await keepsake.transcript("adas", user=ADA)] == [1]


@pytest.mark.parametrize(
    ("kind", "field", "path"),
    [
        ("session", "session_id", "/sessions/s"),
        ("data", "name", "/sessions/s/data/a"),
        ("data", "gen", "/sessions/s/data/a"),
    ],
)
async def test_an_item_with_other_names_is_not_found_f34(
    keepsake: Keepsake, cosmos: LocalCosmos, cosmos_rows: Rows, kind: str, field: str, path: str
) -> None:
    """Even if two digests collided, the names in the item decide."""
    await keepsake.chat("Hello")
    async with keepsake.client() as client:
        await client.put("/sessions/s/data/a", json={"value": 1})
        (row,) = cosmos_rows(kind)
        await replace_item(cosmos, row | {field: "0" * 32})
        assert (await client.get(path)).status_code == 404


async def test_a_turn_with_another_id_is_not_a_replay_f34(
    keepsake: Keepsake, cosmos: LocalCosmos, cosmos_rows: Rows
) -> None:
    """A resend is never answered with a turn stored under another id."""
    await keepsake.chat("Hello", turn_id="t")
    (row,) = cosmos_rows("turn")
    await replace_item(cosmos, row | {"turn_id": "another"})
    assert (await keepsake.chat("Hello", turn_id="t")).status_code == 409


async def test_lists_preferences_and_usage_are_per_user_f33(keepsake: Keepsake) -> None:
    """Sessions, preferences and usage contain nothing of another user."""
    async with keepsake.client(ADA) as client:
        await client.put("/preferences", json={"preferences": {"secret": "Ada's"}})
    await keepsake.chat("Ada's secret")
    assert (await keepsake.get("/sessions", user=BEN))["value"] == []
    assert (await keepsake.get("/preferences", user=BEN))["preferences"] == {}
    assert set((await keepsake.get("/user/usage", user=BEN))["stored"].values()) == {0}
    assert "secret" not in (await keepsake.chat("Hello", user=BEN)).text


async def test_every_route_needs_a_user_f33(keepsake: Keepsake) -> None:
    """Every operation is 401 without a principal, except those about the service itself."""
    document = await keepsake.get("/openapi.json")
    operations = [(method, path) for path, item in document["paths"].items() for method in item]
    async with keepsake.client(None) as client:
        answers = {
            (method, path): await client.request(
                method,
                re.sub(r"{\w+}", "x", path.removeprefix("/api")),
                json={"message": "Hi", **TURN},
            )
            for method, path in operations
        }
    public = {path for (_, path), answer in answers.items() if answer.status_code != 401}
    assert public == {
        "/api/health",
        "/api/health/ready",
        "/api/openapi.json",
        "/api/docs",
        "/api/docs/{asset}",
    }


def _without_id(answer: httpx.Response) -> str:
    return answer.text.replace("adas", "never")
