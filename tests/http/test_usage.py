"""What a user takes: figures that equal what is stored and what was answered."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cosmos_local import Fault, LocalCosmos
from tests.conftest import Rows
from tests.support.app import BEN, Keepsake
from tests.support.model_server import ModelServer
from tests.support.rows import bump_epoch, forget_measures

pytestmark = pytest.mark.anyio
NOTHING = {
    "sessions": 0,
    "turns": 0,
    "values": 0,
    "bytes": 0,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "embedding_tokens": 0,
    "request_units": 0.0,
}


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """Usage is Cosmos DB's alone."""
    return {}


async def test_a_new_user_has_used_nothing(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """Zeros, and the day they are of."""
    usage = await keepsake.get("/user/usage")
    assert usage == {"day": _day(cosmos), "today": NOTHING, "total": NOTHING}


async def test_counts_and_tokens_are_those_of_the_answers(keepsake: Keepsake) -> None:
    """Three turns in two sessions and a value: as many, and the tokens that the three answers told."""
    answers = [
        (await keepsake.chat(text, session_id=text[0])).json()["usage"]
        for text in ("One", "Two", "Three")
    ]
    await _keep(keepsake, {"number": 7})
    used = (await keepsake.get("/user/usage"))["total"]
    assert (used["sessions"], used["turns"], used["values"]) == (2, 3, 1)
    for tokens in ("prompt_tokens", "completion_tokens"):
        assert used[tokens] == sum(answer[tokens] for answer in answers) > 0


async def test_bytes_are_those_of_the_stored_json(keepsake: Keepsake, cosmos_rows: Rows) -> None:
    """Each turn and value as it lies in Cosmos DB, without its system properties and this number itself."""
    await keepsake.chat("Grüße 🎁")
    await _keep(keepsake, ["ü", 1.5, None])
    used = (await keepsake.get("/user/usage"))["total"]
    assert used["bytes"] == sum(_size(row) for row in cosmos_rows("turn") + cosmos_rows("data"))


async def test_request_units_are_those_before_the_write(keepsake: Keepsake) -> None:
    """What a turn's reads cost; the answer tells the same and the write."""
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


async def test_today_begins_at_midnight_utc(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """On the next day yesterday's turns are in all, and today's begin again; the session counts where it was active."""
    await keepsake.chat("Yesterday")
    await keepsake.chat("Yesterday", session_id="rests")
    cosmos.clock.advance(_seconds_to_midnight(cosmos) + 1)
    fresh = await keepsake.get("/user/usage")
    await keepsake.chat("Today")
    usage = await keepsake.get("/user/usage")
    assert (fresh["day"], fresh["today"], fresh["total"]["turns"]) == (_day(cosmos), NOTHING, 2)
    assert (usage["today"]["sessions"], usage["today"]["turns"]) == (1, 1)
    assert (usage["total"]["sessions"], usage["total"]["turns"]) == (2, 3)
    assert usage["today"]["bytes"] == usage["total"]["bytes"] - fresh["total"]["bytes"]


async def test_what_is_forgotten_or_expired_counts_no_more(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A deleted session at once, the rest when its time is over."""
    await keepsake.chat("Hello", session_id="deleted")
    await keepsake.chat("Hello")
    async with keepsake.client() as client:
        await client.delete("/sessions/deleted")
    assert (await keepsake.get("/user/usage"))["total"]["turns"] == 1
    cosmos.clock.advance(91 * 86_400)
    assert (await keepsake.get("/user/usage"))["total"] == NOTHING


async def test_nothing_from_before_an_erase_counts(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """When the user's epoch has moved, what is not swept yet is not the user's any more."""
    await keepsake.chat("Hello")
    await _keep(keepsake, 1)
    await bump_epoch(cosmos, "ada")
    assert (await keepsake.get("/user/usage"))["total"] == NOTHING


async def test_what_another_user_took_is_not_counted_f33(keepsake: Keepsake) -> None:
    """Another user's usage under the same ids changes nothing."""
    await keepsake.chat("Hello", turn_id="t")
    mine = await keepsake.get("/user/usage")
    await keepsake.chat("Hello", turn_id="t", user=BEN)
    await _keep(keepsake, 1, user=BEN)
    assert await keepsake.get("/user/usage") == mine
    assert (await keepsake.get("/user/usage", user=BEN))["total"]["values"] == 1


async def test_documents_of_older_versions_count_as_nothing(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A turn that was stored before it was measured is counted, with 0 bytes and 0 request units."""
    await keepsake.chat("Hello")
    await forget_measures(cosmos, "ada")
    used = (await keepsake.get("/user/usage"))["total"]
    assert (used["turns"], used["bytes"], used["request_units"]) == (1, 0, 0)
    assert used["prompt_tokens"] > 0


async def test_a_turn_pays_nothing_for_it(keepsake: Keepsake, model: ModelServer) -> None:
    """No call of a store is made to count a turn: as many as a turn without a session cache makes anyway."""
    await keepsake.chat("Hello")
    usage = (await keepsake.chat("Hello")).json()["usage"]
    assert (usage["cosmos_calls"], len(model.requests)) == (5, 2)


async def test_a_sum_that_fails_is_no_zero(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """Without Cosmos DB it is 503, and never a figure that is too small."""
    await keepsake.chat("Hello")
    cosmos.faults.add(Fault(status=503, kind="query", times=9))
    async with keepsake.client() as client:
        assert (await client.get("/user/usage")).status_code == 503


async def _keep(keepsake: Keepsake, value: Any, *, user: str = "ada") -> None:
    async with keepsake.client(user) as client:
        await client.put("/sessions/kept/data/order", json={"value": value})


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
