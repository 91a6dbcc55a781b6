"""Workers whose clocks differ by an hour: order, summaries and expiry do not depend on clocks."""

import pytest

from cosmos_local import LocalCosmos
from tests.conftest import Rows
from tests.support.app import running
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio

HOUR, DAY = 3600.0, 86_400.0
SKEWS = (0.0, HOUR, -HOUR)


async def test_order_does_not_depend_on_the_writers_clocks_f26(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Turns are in the order in which they were stored, and each is in the summary once."""
    async with (
        running(cosmos, model) as accurate,
        running(cosmos, model, clock_ahead=HOUR) as fast,
        running(cosmos, model, clock_ahead=-HOUR) as slow,
    ):
        workers = (accurate, fast, slow)
        for n in range(6):
            await workers[n % 3].chat(f"My number is {n}.", turn_id=f"t{n}")
            async with workers[(n + 1) % 3].client() as client:
                assert (await client.post("/sessions/s/consolidate")).status_code == 200
        assert [turn["turn_id"] for turn in await accurate.transcript()] == [
            f"t{n}" for n in range(6)
        ]
        summary = (await slow.get("/sessions/s"))["summary"]
    assert summary["text"] == " ".join(f"My number is {n}." for n in range(6))
    assert (summary["from_seq"], summary["to_seq"]) == (1, 6)


@pytest.mark.parametrize("ahead", SKEWS)
async def test_a_clock_an_hour_off_moves_expiry_by_at_most_an_hour_f26(
    cosmos: LocalCosmos, model: ModelServer, live_rows: Rows, ahead: float
) -> None:
    """Cosmos DB counts the time to live from its own write, so turns live for 90 days."""
    async with (
        running(cosmos, model, clock_ahead=ahead) as writer,
        running(cosmos, model) as reader,
    ):
        await writer.chat("My cat is called Mina.")
        cosmos.clock.advance(90 * DAY - 2 * HOUR)
        assert len(await reader.transcript()) == 1
        assert len(live_rows("turn")) == 1
        cosmos.clock.advance(4 * HOUR)
        assert live_rows("turn") == []
        async with reader.client() as client:
            assert (await client.get("/sessions/s")).status_code == 404


@pytest.mark.parametrize("ahead", SKEWS)
async def test_a_timer_with_a_wrong_clock_summarises_every_session_once_f26(
    cosmos: LocalCosmos, model: ModelServer, ahead: float
) -> None:
    """Early or late by its clock's error, the timer finds each session and summarises it once."""
    async with (
        running(cosmos, model) as keepsake,
        running(cosmos, model, clock_ahead=ahead) as timer,
    ):
        await keepsake.chat("My cat is called Mina.")
        cosmos.clock.advance(2 * HOUR)
        await timer.run_timers()
        await timer.run_timers()
        assert (await keepsake.get("/sessions/s"))["summary"]["text"] == "My cat is called Mina."
    assert len([request for request in model.requests if "response_format" in request]) == 1
