"""Session data: what is kept with a conversation, and how it spares an agent's tools."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from shared.services.session_data import MAX_VALUE_BYTES
from tests.conftest import Rows
from tests.support.app import BEN, Keepsake

pytestmark = pytest.mark.anyio


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """Session data is Cosmos DB's alone."""
    return {}


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None]}, "text", 0, False, None, [], {}])
async def test_a_value_comes_back_as_it_was_put(keepsake: Keepsake, value: Any) -> None:
    """Any JSON, also null, in a session that has no turn yet."""
    async with keepsake.client() as client:
        put = await client.put("/sessions/s/data/cart", json={"value": value})
        got = await client.get("/sessions/s/data/cart")
    assert (put.status_code, got.status_code, got.json()["value"]) == (200, 200, value)


async def test_three_questions_cost_one_lookup(keepsake: Keepsake) -> None:
    """An agent that keeps its order system's answer asks that system once for a conversation of three questions."""
    lookups = 0

    async def find_order(number: str) -> Any:
        nonlocal lookups
        async with keepsake.client() as client:
            kept = await client.get(f"/sessions/s/data/find_order:{number}")
            if kept.status_code == 200:
                return kept.json()["value"]
            lookups += 1
            order = {"number": number, "status": "shipped", "arrives": "Friday"}
            await client.put(f"/sessions/s/data/find_order:{number}?ttl=600", json={"value": order})
            return order

    for question in ("Where is my order 7?", "When does it arrive?", "Was it shipped?"):
        order = await find_order("7")
        answer = await keepsake.chat(question, instructions=f"Order: {order}")
        assert answer.status_code == 200
    assert lookups == 1


async def test_a_value_has_its_own_time(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """`ttl` seconds after it was put it is gone; the session is not."""
    await keepsake.chat()
    async with keepsake.client() as client:
        await client.put("/sessions/s/data/a?ttl=60", json={"value": 1})
        cosmos.clock.advance(61)
        assert (await client.get("/sessions/s/data/a")).status_code == 404
        assert (await client.get("/sessions/s")).status_code == 200


async def test_putting_a_value_does_not_prolong_the_session(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A session lives from its last turn; what is kept with it changes nothing of that."""
    await keepsake.chat()
    cosmos.clock.advance(80 * 86_400)
    async with keepsake.client() as client:
        put = (await client.put("/sessions/s/data/a", json={"value": 1})).json()
        lives = datetime.fromisoformat(put["expires_at"]) - datetime.fromisoformat(
            put["updated_at"]
        )
        assert lives < timedelta(days=10)  # and it says so
        cosmos.clock.advance(11 * 86_400)
        assert (await client.get("/sessions/s")).status_code == 404


async def test_values_go_with_their_session(keepsake: Keepsake, cosmos_rows: Rows) -> None:
    """Forgetting a session forgets what was kept with it, and a new one under its id begins empty."""
    await keepsake.chat()
    async with keepsake.client() as client:
        await client.put("/sessions/s/data/a", json={"value": 1})
        await client.delete("/sessions/s")
        assert cosmos_rows("data") == []
        await keepsake.chat()
        assert (await client.get("/sessions/s/data/a")).status_code == 404


async def test_a_value_is_deleted_once_or_twice(keepsake: Keepsake) -> None:
    """DELETE is 204, also of what is not there, also in no session."""
    async with keepsake.client() as client:
        await client.put("/sessions/s/data/a", json={"value": 1})
        codes = [
            (await client.delete(f"/sessions/{s}/data/a")).status_code for s in ("s", "s", "none")
        ]
        assert (await client.get("/sessions/s/data/a")).status_code == 404
    assert codes == [204, 204, 204]


async def test_values_are_ones_own_f33(keepsake: Keepsake) -> None:
    """Another user's value under the same names is not there."""
    async with keepsake.client() as ada, keepsake.client(BEN) as ben:
        await ada.put("/sessions/s/data/a", json={"value": "secret"})
        assert (await ben.get("/sessions/s/data/a")).status_code == 404
        await ben.put("/sessions/s/data/a", json={"value": "ben's"})
        assert (await ada.get("/sessions/s/data/a")).json()["value"] == "secret"


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 413)])
async def test_a_value_ends_at_128_kb_f27(keepsake: Keepsake, extra: int, status: int) -> None:
    """The limit is exact, and its error names it."""
    async with keepsake.client() as client:
        answer = await client.put(
            "/sessions/s/data/a", json={"value": "x" * (MAX_VALUE_BYTES - 2 + extra)}
        )
    assert answer.status_code == status
    assert status == 200 or str(MAX_VALUE_BYTES) in answer.json()["error"]["message"]


async def test_values_put_at_once_are_all_kept(keepsake: Keepsake) -> None:
    """Values do not conflict with each other or with turns."""
    async with keepsake.client() as client:
        puts = [client.put(f"/sessions/s/data/v{n}", json={"value": n}) for n in range(10)]
        answers = await asyncio.gather(*puts, keepsake.chat())
        values = [(await client.get(f"/sessions/s/data/v{n}")).json()["value"] for n in range(10)]
    assert ({answer.status_code for answer in answers}, values) == ({200}, list(range(10)))
