"""Usage: the totals equal what is stored and what the answers reported."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cosmos_local import Fault, LocalCosmos
from tests.conftest import Rows
from tests.support.app import BEN, Keepsake
from tests.support.model_server import ModelServer
from tests.support.rows import bump_epoch, remove_measures

pytestmark = pytest.mark.anyio
NOTHING = {
    "sessions": 0,
    "turns": 0,
    "session_data": 0,
    "bytes": 0,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "embedding_tokens": 0,
    "request_units": 0.0,
}


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """Usage is read from Cosmos DB only."""
    return {}


async def test_a_new_user_has_used_nothing(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """All totals are zero, and the day is today."""
    usage = await keepsake.get("/user/usage")
    assert usage == {"day": _day(cosmos), "today": NOTHING, "total": NOTHING}


async def test_usage_equals_the_sum_of_the_answers(keepsake: Keepsake) -> None:
    """Sessions, turns and values are counted; the tokens are the sum of those in the answers."""
    answers = [
        (await keepsake.chat(text, session_id=text[0])).json()["usage"]
        for text in ("One", "Two", "Three")
    ]
    await _store_value(keepsake, {"number": 7})
    used = (await keepsake.get("/user/usage"))["total"]
    assert (used["sessions"], used["turns"], used["session_data"]) == (2, 3, 1)
    for tokens in ("prompt_tokens", "completion_tokens"):
        assert used[tokens] == sum(answer[tokens] for answer in answers) > 0


async def test_bytes_are_the_size_of_the_stored_json(keepsake: Keepsake, cosmos_rows: Rows) -> None:
    """The size is that of the documents, without system properties and `bytes` itself."""
    await keepsake.chat("Grüße 🎁")
    await _store_value(keepsake, ["ü", 1.5, None])
    used = (await keepsake.get("/user/usage"))["total"]
    assert used["bytes"] == sum(_size(row) for row in cosmos_rows("turn") + cosmos_rows("data"))


async def test_stored_request_units_exclude_the_write(keepsake: Keepsake) -> None:
    """A turn stores what its reads cost; only the answer includes the cost of the write."""
    first = (await keepsake.chat("Hello")).json()["usage"]["request_units"]
    one = (await keepsake.get("/user/usage"))["total"]["request_units"]
    await keepsake.chat("Hello again")
    two = (await keepsake.get("/user/usage"))["total"]["request_units"]
    assert 0 < one < first
    assert one < two


async def test_a_turn_sent_twice_counts_once(keepsake: Keepsake) -> None:
    """A replay stores nothing, so it adds nothing."""
    await keepsake.chat("Hello", turn_id="t")
    once = await keepsake.get("/user/usage")
    await keepsake.chat("Hello", turn_id="t")
    assert await keepsake.get("/user/usage") == once


async def test_today_starts_at_midnight_utc(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """After midnight, yesterday's turns count in the total only.

    A session counts as today's if it was active today.
    """
    await keepsake.chat("Yesterday")
    await keepsake.chat("Yesterday", session_id="idle")
    cosmos.clock.advance(_seconds_to_midnight(cosmos) + 1)
    next_day = await keepsake.get("/user/usage")
    await keepsake.chat("Today")
    usage = await keepsake.get("/user/usage")
    assert (next_day["day"], next_day["today"], next_day["total"]["turns"]) == (
        _day(cosmos),
        NOTHING,
        2,
    )
    assert (usage["today"]["sessions"], usage["today"]["turns"]) == (1, 1)
    assert (usage["total"]["sessions"], usage["total"]["turns"]) == (2, 3)
    assert usage["today"]["bytes"] == usage["total"]["bytes"] - next_day["total"]["bytes"]


async def test_deleted_and_expired_sessions_do_not_count(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A deleted session stops counting at once, the rest when it expires."""
    await keepsake.chat("Hello", session_id="deleted")
    await keepsake.chat("Hello")
    async with keepsake.client() as client:
        await client.delete("/sessions/deleted")
    assert (await keepsake.get("/user/usage"))["total"]["turns"] == 1
    cosmos.clock.advance(91 * 86_400)
    assert (await keepsake.get("/user/usage"))["total"] == NOTHING


async def test_nothing_from_before_an_erase_counts(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """When the user's epoch has advanced, nothing older counts, even before it is swept."""
    await keepsake.chat("Hello")
    await _store_value(keepsake, 1)
    await bump_epoch(cosmos, "ada")
    assert (await keepsake.get("/user/usage"))["total"] == NOTHING


async def test_another_users_usage_is_not_counted_f33(keepsake: Keepsake) -> None:
    """Another user's usage under the same ids changes nothing."""
    await keepsake.chat("Hello", turn_id="t")
    mine = await keepsake.get("/user/usage")
    await keepsake.chat("Hello", turn_id="t", user=BEN)
    await _store_value(keepsake, 1, user=BEN)
    assert await keepsake.get("/user/usage") == mine
    assert (await keepsake.get("/user/usage", user=BEN))["total"]["session_data"] == 1


async def test_turns_of_older_versions_count_with_zero_bytes(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A turn stored by a version without these measures counts with 0 bytes and 0 request units."""
    await keepsake.chat("Hello")
    await remove_measures(cosmos, "ada")
    used = (await keepsake.get("/user/usage"))["total"]
    assert (used["turns"], used["bytes"], used["request_units"]) == (1, 0, 0)
    assert used["prompt_tokens"] > 0


async def test_counting_usage_costs_a_turn_no_calls(keepsake: Keepsake, model: ModelServer) -> None:
    """A turn makes no calls to count usage: as many as any turn without a session cache."""
    await keepsake.chat("Hello")
    usage = (await keepsake.chat("Hello")).json()["usage"]
    assert (usage["cosmos_calls"], len(model.requests)) == (5, 2)


async def test_a_failed_query_is_not_reported_as_zero(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """If Cosmos DB fails it is 503, never a total that is too small."""
    await keepsake.chat("Hello")
    cosmos.faults.add(Fault(status=503, kind="query", times=9))
    async with keepsake.client() as client:
        assert (await client.get("/user/usage")).status_code == 503


async def _store_value(keepsake: Keepsake, value: Any, *, user: str = "ada") -> None:
    async with keepsake.client(user) as client:
        await client.put("/sessions/s2/data/order", json={"value": value})


def _size(row: dict[str, Any]) -> int:
    own = {name: value for name, value in row.items() if not name.startswith("_")}
    own["usage"] = {name: value for name, value in row["usage"].items() if name != "bytes"}
    return len(json.dumps(own, ensure_ascii=False, separators=(",", ":")).encode())


def _now(cosmos: LocalCosmos) -> datetime:
    return datetime.fromtimestamp(cosmos.clock.now(), UTC)


def _day(cosmos: LocalCosmos) -> str:
    return _now(cosmos).date().isoformat()


def _seconds_to_midnight(cosmos: LocalCosmos) -> float:
    now = _now(cosmos)
    return (
        (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0) - now
    ).total_seconds()
