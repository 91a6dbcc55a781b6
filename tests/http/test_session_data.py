"""Session data: values that an agent stores with a session."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from shared.services.sessions.data import MAX_DATA_BYTES
from tests.conftest import Rows
from tests.support.app import BEN, Keepsake

pytestmark = pytest.mark.anyio


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """Session data is stored in Cosmos DB only."""
    return {}


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None]}, "text", 0, False, None, [], {}])
async def test_a_value_is_returned_as_it_was_stored(keepsake: Keepsake, value: Any) -> None:
    """Any JSON value is accepted, also null, also in a session without turns."""
    async with keepsake.client() as client:
        put = await client.put("/sessions/s/data/cart", json={"value": value})
        got = await client.get("/sessions/s/data/cart")
    assert (put.status_code, got.status_code, got.json()["value"]) == (200, 200, value)


async def test_session_data_saves_repeated_lookups(keepsake: Keepsake) -> None:
    """An agent that stores its order lookup asks the order system once in three questions."""
    lookups = 0

    async def find_order(number: str) -> Any:
        nonlocal lookups
        async with keepsake.client() as client:
            cached = await client.get(f"/sessions/s/data/find_order:{number}")
            if cached.status_code == 200:
                return cached.json()["value"]
            lookups += 1
            order = {"number": number, "status": "shipped", "arrives": "Friday"}
            await client.put(f"/sessions/s/data/find_order:{number}?ttl=600", json={"value": order})
            return order

    for question in ("Where is my order 7?", "When does it arrive?", "Was it shipped?"):
        order = await find_order("7")
        answer = await keepsake.chat(question, instructions=f"Order: {order}")
        assert answer.status_code == 200
    assert lookups == 1


async def test_a_value_has_its_own_time_to_live(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """A value expires after its `ttl`; its session does not."""
    await keepsake.chat()
    async with keepsake.client() as client:
        await client.put("/sessions/s/data/a?ttl=60", json={"value": 1})
        cosmos.clock.advance(61)
        assert (await client.get("/sessions/s/data/a")).status_code == 404
        assert (await client.get("/sessions/s")).status_code == 200


async def test_storing_a_value_does_not_extend_the_session(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Only turns extend a session's life, and a value expires no later than its session."""
    await keepsake.chat()
    cosmos.clock.advance(80 * 86_400)
    async with keepsake.client() as client:
        put = (await client.put("/sessions/s/data/a", json={"value": 1})).json()
        remaining = datetime.fromisoformat(put["expires_at"]) - datetime.fromisoformat(
            put["updated_at"]
        )
        assert remaining < timedelta(days=10)  # the response says so
        cosmos.clock.advance(11 * 86_400)
        assert (await client.get("/sessions/s")).status_code == 404


async def test_session_data_is_deleted_with_its_session(
    keepsake: Keepsake, cosmos_rows: Rows
) -> None:
    """Deleting a session deletes its data; a new session with the same id starts empty."""
    await keepsake.chat()
    async with keepsake.client() as client:
        await client.put("/sessions/s/data/a", json={"value": 1})
        await client.delete("/sessions/s")
        assert cosmos_rows("data") == []
        await keepsake.chat()
        assert (await client.get("/sessions/s/data/a")).status_code == 404


async def test_deleting_a_value_is_idempotent(keepsake: Keepsake) -> None:
    """DELETE is 204, also for a value or a session that does not exist."""
    async with keepsake.client() as client:
        await client.put("/sessions/s/data/a", json={"value": 1})
        codes = [
            (await client.delete(f"/sessions/{s}/data/a")).status_code for s in ("s", "s", "none")
        ]
        assert (await client.get("/sessions/s/data/a")).status_code == 404
    assert codes == [204, 204, 204]


async def test_session_data_is_per_user_f33(keepsake: Keepsake) -> None:
    """Another user's value under the same names is not visible."""
    async with keepsake.client() as ada, keepsake.client(BEN) as ben:
        await ada.put("/sessions/s/data/a", json={"value": "secret"})
        assert (await ben.get("/sessions/s/data/a")).status_code == 404
        await ben.put("/sessions/s/data/a", json={"value": "ben's"})
        assert (await ada.get("/sessions/s/data/a")).json()["value"] == "secret"


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 413)])
async def test_a_value_is_limited_to_128_kb_f27(
    keepsake: Keepsake, extra: int, status: int
) -> None:
    """The limit is exact, and the error names it."""
    async with keepsake.client() as client:
        answer = await client.put(
            "/sessions/s/data/a", json={"value": "x" * (MAX_DATA_BYTES - 2 + extra)}
        )
    assert answer.status_code == status
    assert status == 200 or str(MAX_DATA_BYTES) in answer.json()["error"]["message"]


async def test_concurrent_values_are_all_stored(keepsake: Keepsake) -> None:
    """Concurrent values do not conflict with each other or with turns."""
    async with keepsake.client() as client:
        puts = [client.put(f"/sessions/s/data/v{n}", json={"value": n}) for n in range(10)]
        answers = await asyncio.gather(*puts, keepsake.chat())
        values = [(await client.get(f"/sessions/s/data/v{n}")).json()["value"] for n in range(10)]
    assert ({answer.status_code for answer in answers}, values) == ({200}, list(range(10)))
