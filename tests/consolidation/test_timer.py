"""The timer: it finds what is due, page by page, fills the queue, and does nothing else."""

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import local.__main__ as laptop
from cosmos_local import Fault, LocalCosmos
from local.tasks import beside
from shared.adapters.cosmos_items import empty_header, write_time
from shared.domain.errors import KeepsakeError
from shared.domain.ids import Gen, SessionId, UserId
from shared.ports.jobs import ConsolidationJob, QueueUnavailable
from shared.services import idle_sessions
from shared.services.idle_sessions import MAX_WAITING
from tests.support.app import Keepsake, running
from tests.support.ask import ADA
from tests.support.faulty import Watched
from tests.support.model_server import ModelServer
from tests.support.rows import create_items

pytestmark = pytest.mark.anyio

IDLE = 31 * 60


async def due(cosmos: LocalCosmos, count: int, users: int) -> None:
    """So many headers of sessions that rested for an hour."""
    said = datetime.fromtimestamp(cosmos.clock.now(), UTC) - timedelta(hours=1)
    for number in range(users):
        user = UserId(f"user-{number}")
        headers = (
            empty_header(user, SessionId(f"s{n}"), Gen(f"{n:032x}"), 0, None, said)
            for n in range(count // users)
        )
        rest = {"turn_count": 1, "due_at": write_time(said + timedelta(minutes=30)), "ttl": 86_400}
        await create_items(cosmos, user.value, [header | rest for header in headers])


async def test_all_due_sessions_are_queued_page_by_page(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """More than a page of them, of many users: each once, and nothing is written."""
    watched = Watched()
    await due(cosmos, 2400, users=12)
    before = cosmos.rows("memory")
    async with running(cosmos, model, wrap=watched.wrap) as keepsake:
        services = await keepsake.composition.services()
        assert await services.idle_sessions.queue_due() == 2400
        assert await keepsake.jobs.length() == 2400
    assert cosmos.rows("memory") == before


@pytest.mark.parametrize(("waiting", "queued"), [(MAX_WAITING, 2), (MAX_WAITING + 1, 0)])
async def test_a_full_queue_is_left_alone(
    cosmos: LocalCosmos,
    model: ModelServer,
    caplog: pytest.LogCaptureFixture,
    waiting: int,
    queued: int,
) -> None:
    """Nothing is queued while the queue holds more than 5,000; how late the oldest is is told all the same."""
    await due(cosmos, 2, users=1)
    async with running(cosmos, model) as keepsake:
        for _ in range(waiting):
            await keepsake.jobs.put(ConsolidationJob(ADA, SessionId("s")))
        services = await keepsake.composition.services()
        with caplog.at_level(logging.INFO):
            assert await services.idle_sessions.queue_due() == queued
    assert re.search(
        f"due_sessions queued={queued} waiting={waiting} oldest_seconds=18[0-9]{{2}}\n", caplog.text
    )


async def test_what_a_run_has_no_time_for_is_left_to_the_next(
    cosmos: LocalCosmos, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is out of time ends without an error, and the next finds everything."""
    await due(cosmos, 2, users=1)
    async with running(cosmos, model) as keepsake:
        services = await keepsake.composition.services()
        with monkeypatch.context() as short:
            short.setattr(idle_sessions, "RUN_SECONDS", 0.0)
            assert await services.idle_sessions.queue_due() == 0
        assert await services.idle_sessions.queue_due() == 2


async def test_sessions_that_are_not_due_are_left_alone(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Not before they rested, not with memory off, not twice when they were summarised, not when they are deleted."""
    services = await keepsake.composition.services()
    await keepsake.chat("My cat is called Mina.", session_id="done")
    await keepsake.chat("Forget this.", session_id="deleted")
    async with keepsake.client() as client:
        await client.post("/sessions/done/consolidate")
        await client.delete("/sessions/deleted")
        await client.put("/preferences", json={"memory_enabled": False})
        await keepsake.chat("Off the record.", session_id="unremembered")
        await client.put("/preferences", json={"memory_enabled": True})
    cosmos.clock.advance(IDLE)
    await keepsake.chat("I live in Oslo.", session_id="new")
    assert await services.idle_sessions.queue_due() == 0


@pytest.mark.parametrize("minutes", [1, 120])
async def test_the_idle_time_is_a_setting(
    cosmos: LocalCosmos, model: ModelServer, minutes: int
) -> None:
    """IDLE_MINUTES after the last turn, not earlier."""
    async with running(cosmos, model, idle_minutes=minutes) as keepsake:
        services = await keepsake.composition.services()
        await keepsake.chat("My cat is called Mina.")
        cosmos.clock.advance(minutes * 60 - 5)
        assert await services.idle_sessions.queue_due() == 0
        cosmos.clock.advance(10)
        assert await services.idle_sessions.queue_due() == 1


@pytest.mark.parametrize("skip", [0, 1, 2])
async def test_a_scan_that_breaks_off_is_begun_anew_f21(
    cosmos: LocalCosmos, model: ModelServer, skip: int
) -> None:
    """Cosmos DB away at any page: what is queued is queued, the next tick finds everything."""
    await due(cosmos, 2400, users=3)
    async with running(cosmos, model) as keepsake:
        services = await keepsake.composition.services()
        cosmos.faults.add(Fault(status=503, kind="query", skip=skip, times=20))
        with pytest.raises(KeepsakeError):
            await services.idle_sessions.queue_due()
        cosmos.faults.clear()
        assert await services.idle_sessions.queue_due() == 2400


async def test_a_queue_that_is_away_costs_no_turn(
    cosmos: LocalCosmos, model: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A tenth turn is stored and answered all the same; the timer's run fails, and is seen to."""
    caplog.set_level(logging.INFO)
    async with running(
        cosmos, model, queue_endpoint="http://127.0.0.1:9/none", queue_key="bm9uZQ=="
    ) as keepsake:
        answers: list[Any] = [await keepsake.chat(f"Message {n}") for n in range(10)]
        with pytest.raises(QueueUnavailable):
            await keepsake.tick()
    assert [answer.status_code for answer in answers] == [200] * 10
    assert "run operation=summarise_idle_sessions error_type=QueueUnavailable ms=" in caplog.text


async def test_timers_of_a_laptop_go_on_when_a_store_was_away(
    keepsake: Keepsake, cosmos: LocalCosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that fails is told in its line, and the next tick comes."""
    monkeypatch.setattr(laptop, "TIMER_SECONDS", 0.01)
    cosmos.faults.add(Fault(status=503, kind="query", times=10_000))
    async with beside(laptop._tick(keepsake.composition)) as ticking, asyncio.timeout(20):
        while cosmos.faults.hits() < 8:
            assert not ticking.done()
            await asyncio.sleep(0.005)
