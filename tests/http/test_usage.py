"""Usage: what is stored now, and what was spent, as the answers and the runs reported it."""

import asyncio
import json
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cosmos_local import Fault, LocalCosmos
from tests.conftest import Rows
from tests.support.app import BEN, PATIENT, Keepsake, running
from tests.support.model_server import REFUSAL, ModelServer
from tests.support.rows import bump_epoch, delete_item

pytestmark = pytest.mark.anyio
NOTHING_STORED = {"sessions": 0, "turns": 0, "session_data": 0, "bytes": 0}
COUNTED = (
    "model_calls",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "embedding_tokens",
    "request_units",
)
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
WORK = "chat|put_turn|consolidate_now|consolidate_session"  # operations
NOTHING_SPENT = {"turns": 0} | dict.fromkeys(COUNTED, 0)


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """Usage is read from Cosmos DB only."""
    return {}


@pytest.fixture
def embedding_model() -> str:
    """Vectors cost tokens, too."""
    return "scripted"


async def test_a_new_user_has_used_nothing(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """Nothing is stored and nothing was spent, and the day is today."""
    usage = await keepsake.get("/user/usage")
    nothing = dict.fromkeys(("total", "today", "other_today"), NOTHING_SPENT)
    assert usage == {"day": _day(cosmos), "stored": NOTHING_STORED, "spent": nothing}


async def test_what_is_stored_is_counted(keepsake: Keepsake) -> None:
    """Sessions, turns and session data."""
    for text in ("One", "Two", "Three"):
        await keepsake.chat(text, session_id=text[0])
    await _store_value(keepsake, {"number": 7})
    stored = (await keepsake.get("/user/usage"))["stored"]
    assert (stored["sessions"], stored["turns"], stored["session_data"]) == (2, 3, 1)


async def test_bytes_are_the_size_of_the_stored_json(keepsake: Keepsake, cosmos_rows: Rows) -> None:
    """The size is that of the documents, without system properties and `bytes` itself."""
    await keepsake.chat("Grüße 🎁")
    await _store_value(keepsake, ["ü", 1.5, None])
    stored = (await keepsake.get("/user/usage"))["stored"]
    assert stored["bytes"] == sum(_size(row) for row in cosmos_rows("turn") + cosmos_rows("data"))


async def test_spending_is_the_sum_of_what_was_reported(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    model: ModelServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Turns and background work, to the unit: whole, streamed, refused, recorded, deleted."""
    caplog.set_level(logging.INFO, "keepsake")
    for text in ("One", "Two", "Three"):
        await keepsake.chat(text, session_id=text, turn_id="t")
    await keepsake.chat("Streamed", stream=True)
    model.script.extend([REFUSAL, REFUSAL])
    assert (await keepsake.chat("Refused")).status_code == 422
    async with keepsake.client() as client:
        await client.put("/sessions/s/turns/recorded", json=HELLO)
        await client.post("/sessions/One/consolidate")
        await client.delete("/sessions/Two")
    cosmos.clock.advance(3600)
    await keepsake.run_timers()
    await keepsake.run_jobs()
    spent = (await keepsake.get("/user/usage"))["spent"]["total"]
    assert spent["turns"] == 6
    for name in set(COUNTED) - {"cached_tokens"}:
        assert spent[name] > 0, name
        assert spent[name] == pytest.approx(_reported(caplog, name)), name


async def test_spending_equals_the_answers(keepsake: Keepsake) -> None:
    """The tokens and request units of the answers add up to the total."""
    answers = [
        (await keepsake.chat(text)).json()["usage"]
        for text in ("My rabbit Hazel", "She eats dandelions", "What does Hazel eat?")
    ]
    await keepsake.get("/sessions")
    spent = (await keepsake.get("/user/usage"))["spent"]
    for name in COUNTED:
        assert spent["total"][name] == pytest.approx(sum(answer[name] for answer in answers))
    assert spent["today"] == spent["total"]


async def test_spending_survives_a_killed_worker(cosmos: LocalCosmos, model: ModelServer) -> None:
    """Tokens are counted in the turn's own batch: only request units of writes may be lost."""
    async with running(cosmos, model) as app:
        answer = (await app.chat("My rabbit is called Hazel")).json()["usage"]
        async with running(cosmos, model) as another:
            total = (await another.get("/user/usage"))["spent"]["total"]
    assert (total["turns"], total["model_calls"]) == (1, 1)
    for name in ("prompt_tokens", "completion_tokens", "embedding_tokens"):
        assert total[name] == answer[name]
    assert 0 < total["request_units"] < answer["request_units"]


async def test_a_worker_that_stops_counts_first(cosmos: LocalCosmos, model: ModelServer) -> None:
    """What a worker has not counted yet, it counts when it is stopped."""
    async with running(cosmos, model) as app:
        answer = (await app.chat("Hello")).json()["usage"]
    async with running(cosmos, model) as another:
        total = (await another.get("/user/usage"))["spent"]["total"]
    assert total["request_units"] == answer["request_units"]


async def test_spending_is_counted_after_a_while(cosmos: LocalCosmos, model: ModelServer) -> None:
    """Nobody has to ask for it."""
    soon = replace(PATIENT, count=0.05)
    async with running(cosmos, model, deadlines=soon) as app, running(cosmos, model) as another:
        answer = (await app.chat("Hello")).json()["usage"]
        counted = 0.0
        async with asyncio.timeout(10):
            while counted != answer["request_units"]:
                usage = await another.get("/user/usage")
                counted = usage["spent"]["total"]["request_units"]


async def test_a_turn_sent_twice_counts_once(keepsake: Keepsake) -> None:
    """A replay stores nothing: what it spent is counted with the day's other requests."""
    await keepsake.chat("Hello", turn_id="t")
    once = await keepsake.get("/user/usage")
    replayed = (await keepsake.chat("Hello", turn_id="t")).json()["usage"]
    twice = await keepsake.get("/user/usage")
    assert (twice["stored"], twice["spent"]["total"]) == (once["stored"], once["spent"]["total"])
    assert replayed["request_units"] > 0
    assert twice["spent"]["other_today"]["prompt_tokens"] == 0


async def test_a_turn_whose_response_was_lost_counts_once(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """The batch is repeated, finds the turn stored, and nothing is added a second time."""
    cosmos.faults.add(Fault(status=500, kind="batch", applied=True, skip=1))
    answer = (await keepsake.chat("Hello")).json()["usage"]
    spent = (await keepsake.get("/user/usage"))["spent"]
    assert (spent["total"]["turns"], spent["total"]["model_calls"]) == (1, 1)
    assert spent["total"]["completion_tokens"] == answer["completion_tokens"]
    assert spent["other_today"]["completion_tokens"] == 0


async def test_requests_that_store_nothing_count_by_the_day(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Reads, previews and failed turns; the next day starts at zero."""
    model.fail_next(400)
    assert (await keepsake.chat("Hello")).status_code != 200
    await keepsake.get("/sessions")
    spent = (await keepsake.get("/user/usage"))["spent"]
    assert (spent["total"], spent["today"]) == (NOTHING_SPENT, NOTHING_SPENT)
    assert (spent["other_today"]["model_calls"], spent["other_today"]["turns"]) == (1, 0)
    assert spent["other_today"]["request_units"] > 0
    cosmos.clock.advance(_seconds_to_midnight(cosmos) + 1)
    assert (await keepsake.get("/user/usage"))["spent"]["other_today"] == NOTHING_SPENT


async def test_today_starts_at_midnight_utc(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """After midnight, yesterday's turns count in the total only."""
    await keepsake.chat("Yesterday")
    yesterday = (await keepsake.get("/user/usage"))["spent"]
    cosmos.clock.advance(_seconds_to_midnight(cosmos) + 1)
    usage = await keepsake.get("/user/usage")
    await keepsake.chat("Today")
    today = (await keepsake.get("/user/usage"))["spent"]
    assert (usage["day"], usage["spent"]["today"]) == (_day(cosmos), NOTHING_SPENT)
    assert usage["spent"]["total"] == yesterday["total"]
    assert (today["today"]["turns"], today["total"]["turns"]) == (1, 2)


async def test_counting_that_fails_does_not_fail_the_request(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """What may have been added is never added again: rather too little than too much."""
    await keepsake.chat("Hello")
    cosmos.faults.add(Fault(status=503, kind="batch", times=9))
    usage = await keepsake.get("/user/usage")
    assert usage["spent"]["total"]["turns"] == 1
    cosmos.faults.clear()
    assert (await keepsake.get("/user/usage"))["spent"]["today"]["turns"] == 0


async def test_a_throttled_count_is_kept_for_later(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """Nothing was added, so it is added with the next write."""
    answer = (await keepsake.chat("Hello")).json()["usage"]
    cosmos.faults.add(Fault(status=429, kind="batch", retry_after_ms=9000))
    await keepsake.get("/user/usage")
    spent = (await keepsake.get("/user/usage"))["spent"]
    assert spent["total"]["request_units"] == answer["request_units"]


async def test_background_work_whose_response_was_lost_counts_once(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """The summary was stored and counted; the run that finds it adds nothing."""
    await keepsake.chat("My rabbit is called Hazel")
    before = (await keepsake.get("/user/usage"))["spent"]["total"]
    cosmos.faults.add(Fault(status=500, kind="batch", applied=True))
    cosmos.clock.advance(3600)
    await keepsake.run_timers()
    requests = len(model.requests) - 1
    after = (await keepsake.get("/user/usage"))["spent"]["total"]
    assert after["model_calls"] - before["model_calls"] == requests > 0


async def test_a_turn_that_outlives_its_request_counts_as_one(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """All that it spent is a stored turn's, also what it spent before the caller left."""
    await keepsake.chat("First")
    before = (await keepsake.get("/user/usage"))["spent"]
    model.slow_next(0.5)
    async with keepsake.client() as client:
        body = {"message": "Hello", "session_id": "s", "turn_id": "t"}
        left = await client.post("/chat", json=body, headers={"x-request-deadline-ms": "100"})
    assert left.status_code == 409
    await (await keepsake.composition.services()).chat.drain()
    after = (await keepsake.get("/user/usage"))["spent"]
    assert after["total"]["turns"] - before["total"]["turns"] == 1
    assert after["today"]["model_calls"] - before["today"]["model_calls"] == 1
    assert after["other_today"]["model_calls"] == before["other_today"]["model_calls"]


async def test_reading_creates_no_user(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """What a stranger's requests spent is counted for forty days, and leaves nothing for good."""
    await keepsake.get("/sessions")
    await keepsake.get("/user/usage")
    rows: list[Any] = list(cosmos.rows("memory"))
    assert {row["kind"] for row in rows} == {"day"}
    assert all(0 < row["ttl"] <= 40 * 86_400 for row in rows)


async def test_a_lost_user_document_is_created_again(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Turns do not depend on the counters: whoever removes them only loses the count."""
    await keepsake.chat("Hello")
    await delete_item(cosmos, "ada", "user")
    assert (await keepsake.chat("Still there?")).status_code == 200
    assert (await keepsake.get("/user/usage"))["spent"]["total"]["turns"] == 1


async def test_deleted_and_expired_sessions_do_not_count(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A deleted session stops counting at once, the rest when it expires."""
    await keepsake.chat("Hello", session_id="deleted")
    await keepsake.chat("Hello")
    async with keepsake.client() as client:
        await client.delete("/sessions/deleted")
    assert (await keepsake.get("/user/usage"))["stored"]["turns"] == 1
    cosmos.clock.advance(91 * 86_400)
    assert (await keepsake.get("/user/usage"))["stored"] == NOTHING_STORED


async def test_nothing_from_before_an_erase_counts(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """When the user's epoch has advanced, nothing older counts, even before it is swept."""
    await keepsake.chat("Hello")
    await _store_value(keepsake, 1)
    await bump_epoch(cosmos, "ada")
    assert (await keepsake.get("/user/usage"))["stored"] == NOTHING_STORED


async def test_another_users_usage_is_not_counted_f33(keepsake: Keepsake) -> None:
    """Another user's usage under the same ids changes nothing."""
    await keepsake.chat("Hello", turn_id="t")
    mine = await keepsake.get("/user/usage")
    await keepsake.chat("Hello", turn_id="t", user=BEN)
    await _store_value(keepsake, 1, user=BEN)
    still_mine = await keepsake.get("/user/usage")
    assert still_mine["stored"] == mine["stored"]
    assert still_mine["spent"]["total"] == mine["spent"]["total"]
    assert (await keepsake.get("/user/usage", user=BEN))["stored"]["session_data"] == 1


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


def _reported(caplog: pytest.LogCaptureFixture, name: str) -> float:
    """The sum over the log lines of turns and background work."""
    lines = [record.getMessage() for record in caplog.records]
    work = [line for line in lines if re.search(f"operation=({WORK}) ", line)]
    return sum(float(found[1]) for line in work if (found := re.search(f" {name}=(\\S+)", line)))


def _now(cosmos: LocalCosmos) -> datetime:
    return datetime.fromtimestamp(cosmos.clock.now(), UTC)


def _day(cosmos: LocalCosmos) -> str:
    return _now(cosmos).date().isoformat()


def _seconds_to_midnight(cosmos: LocalCosmos) -> float:
    now = _now(cosmos)
    return (
        (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0) - now
    ).total_seconds()
