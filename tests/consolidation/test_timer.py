"""The timer finds due sessions page by page, enqueues them, and does nothing else."""

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import local.__main__ as local_app
from cosmos_local import Fault, LocalCosmos
from local.tasks import background_task
from shared.adapters.cosmos.items import empty_header
from shared.adapters.cosmos.times import write_time
from shared.domain.deadlines import Deadlines
from shared.domain.errors import KeepsakeError
from shared.domain.ids import Gen, SessionId, UserId
from shared.ports.jobs import ConsolidationJob, QueueUnavailable
from shared.services.consolidation.schedule import MAX_WAITING
from tests.support.app import Keepsake, running
from tests.support.ask import ADA
from tests.support.model_server import ModelServer
from tests.support.rows import create_items

pytestmark = pytest.mark.anyio

IDLE = 31 * 60


async def create_due_sessions(cosmos: LocalCosmos, count: int, users: int) -> None:
    """Create headers of sessions that have been idle for an hour."""
    last_active_at = datetime.fromtimestamp(cosmos.clock.now(), UTC) - timedelta(hours=1)
    for number in range(users):
        user = UserId(f"user-{number}")
        headers = (
            empty_header(user, SessionId(f"s{n}"), Gen(f"{n:032x}"), 0, None, last_active_at)
            for n in range(count // users)
        )
        fields = {
            "turn_count": 1,
            "due_at": write_time(last_active_at + timedelta(minutes=30)),
            "ttl": 86_400,
        }
        await create_items(cosmos, user.value, [header | fields for header in headers])


async def test_all_due_sessions_are_queued(cosmos: LocalCosmos, model: ModelServer) -> None:
    """More than a page of sessions of many users: each is queued once, and nothing is written."""
    await create_due_sessions(cosmos, 2400, users=12)
    before = cosmos.rows("memory")
    async with running(cosmos, model) as keepsake:
        services = await keepsake.composition.services()
        assert await services.schedule.queue_due() == 2400
        assert await keepsake.jobs.length() == 2400
    assert cosmos.rows("memory") == before


@pytest.mark.parametrize(("waiting", "queued"), [(MAX_WAITING, 2), (MAX_WAITING + 1, 0)])
async def test_nothing_is_queued_while_the_queue_is_full(
    cosmos: LocalCosmos,
    model: ModelServer,
    caplog: pytest.LogCaptureFixture,
    waiting: int,
    queued: int,
) -> None:
    """Nothing is queued while more than 5,000 jobs wait; the oldest due time is logged anyway."""
    await create_due_sessions(cosmos, 2, users=1)
    async with running(cosmos, model) as keepsake:
        for _ in range(waiting):
            await keepsake.jobs.put(ConsolidationJob(ADA, SessionId("s")))
        services = await keepsake.composition.services()
        with caplog.at_level(logging.INFO):
            assert await services.schedule.queue_due() == queued
    assert re.search(
        f"due_sessions queued={queued} waiting={waiting} oldest_seconds=18[0-9]{{2}}\n", caplog.text
    )


async def test_a_run_out_of_time_leaves_the_rest_to_the_next(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A run out of time ends without an error, and the next one finds everything."""
    await create_due_sessions(cosmos, 2, users=1)
    async with running(cosmos, model, deadlines=Deadlines(timer_run=0)) as out_of_time:
        assert await (await out_of_time.composition.services()).schedule.queue_due() == 0
    async with running(cosmos, model) as keepsake:
        assert await (await keepsake.composition.services()).schedule.queue_due() == 2


async def test_sessions_that_are_not_due_are_not_queued(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A session is not due before it is idle, with memory off, once summarised, or when deleted."""
    services = await keepsake.composition.services()
    await keepsake.chat("My cat is called Mina.", session_id="done")
    await keepsake.chat("Forget this.", session_id="deleted")
    async with keepsake.client() as client:
        await client.post("/sessions/done/consolidate")
        await client.delete("/sessions/deleted")
        await client.put("/preferences", json={"memory_enabled": False})
        await keepsake.chat("Off the record.", session_id="memory-off")
        await client.put("/preferences", json={"memory_enabled": True})
    cosmos.clock.advance(IDLE)
    await keepsake.chat("I live in Oslo.", session_id="new")
    assert await services.schedule.queue_due() == 0


@pytest.mark.parametrize("minutes", [1, 120])
async def test_idle_minutes_is_a_setting(
    cosmos: LocalCosmos, model: ModelServer, minutes: int
) -> None:
    """A session is due IDLE_MINUTES after its last turn, not earlier."""
    async with running(cosmos, model, idle_minutes=minutes) as keepsake:
        services = await keepsake.composition.services()
        await keepsake.chat("My cat is called Mina.")
        cosmos.clock.advance(minutes * 60 - 5)
        assert await services.schedule.queue_due() == 0
        cosmos.clock.advance(10)
        assert await services.schedule.queue_due() == 1


@pytest.mark.parametrize("skip", [0, 1, 2])
async def test_an_interrupted_scan_is_repeated_by_the_next_run_f21(
    cosmos: LocalCosmos, model: ModelServer, skip: int
) -> None:
    """If Cosmos DB fails at any page, the next run finds all due sessions."""
    await create_due_sessions(cosmos, 2400, users=3)
    async with running(cosmos, model) as keepsake:
        services = await keepsake.composition.services()
        cosmos.faults.add(Fault(status=503, kind="query", skip=skip, times=20))
        with pytest.raises(KeepsakeError):
            await services.schedule.queue_due()
        cosmos.faults.clear()
        assert await services.schedule.queue_due() == 2400


async def test_an_unavailable_queue_does_not_fail_turns(
    cosmos: LocalCosmos, model: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A tenth turn is stored and answered anyway; the timer's run fails and is logged."""
    caplog.set_level(logging.INFO)
    async with running(
        cosmos, model, queue_endpoint="http://127.0.0.1:9/none", queue_key="bm9uZQ=="
    ) as keepsake:
        answers: list[Any] = [await keepsake.chat(f"Message {n}") for n in range(10)]
        with pytest.raises(QueueUnavailable):
            await keepsake.run_timers()
    assert [answer.status_code for answer in answers] == [200] * 10
    assert "run operation=summarise_idle_sessions error_type=QueueUnavailable ms=" in caplog.text


async def test_local_timers_continue_after_a_failed_run(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A failed run is logged, and the next tick comes."""
    cosmos.faults.add(Fault(status=503, kind="query", times=10_000))
    async with (
        background_task(local_app.tick(keepsake.composition, seconds=0.01)) as ticking,
        asyncio.timeout(20),
    ):
        while cosmos.faults.hits() < 8:
            assert not ticking.done()
            await asyncio.sleep(0.005)
