"""Concurrent changes at any request of a consolidation: each turn is in the summary or after it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from shared.domain.ids import SessionId
from shared.ports.jobs import ConsolidationJob
from tests.conftest import Rows
from tests.support.app import Keepsake, running
from tests.support.ask import ADA
from tests.support.faulty import RequestHook
from tests.support.model_server import ModelServer
from tests.support.rows import bump_epoch

pytestmark = pytest.mark.anyio

TURNS = 5
SMALL_CHUNKS: dict[str, Any] = {"summary_chunk_tokens": 500}
IDLE = 31 * 60
Event = Callable[[Keepsake], Awaitable[object]]


async def record_turn(keepsake: Keepsake, n: int, session: str = "s") -> None:
    """Record turn n, which contains one statement of its own and is a third of a chunk."""
    turn = {"messages": [{"role": "user", "content": f"My number is {n}. {'x' * 600}"}]}
    async with keepsake.client() as client:
        assert (await client.put(f"/sessions/{session}/turns/t{n}", json=turn)).status_code < 300


async def run(keepsake: Keepsake) -> None:
    """Consolidate, as the queue function does."""
    await (await keepsake.composition.services()).consolidation.run(
        ConsolidationJob(ADA, SessionId("s"))
    )


async def interleave(cosmos: LocalCosmos, model: ModelServer, event: Event, check: Event) -> int:
    """Run the event before request k, for every k, and check each time; returns how many k."""
    k = 1
    while True:
        async with running(cosmos, model, **SMALL_CHUNKS) as other:
            async with other.client() as client:
                await client.delete("/sessions/s")
            for n in range(TURNS):
                await record_turn(other, n)
            hook = RequestHook(k, lambda: event(other))
            async with running(cosmos, model, wrap=hook.wrap, **SMALL_CHUNKS) as consolidating:
                await run(consolidating)
            if not hook.has_run:
                return k - 1
            await check(other)
        k += 1


async def assert_exact_summary(keepsake: Keepsake) -> None:
    """The summary contains each number of its range once, and none outside of it."""
    session = await keepsake.get("/sessions/s")
    summary, text = session["summary"], session["summary"]["text"]
    assert (summary["from_seq"], summary["to_seq"]) == (1, session["consolidated_seq"])
    counts = [text.count(f"My number is {n}.") for n in range(session["turn_count"])]
    assert counts == [int(n < session["consolidated_seq"]) for n in range(session["turn_count"])]


async def test_a_concurrent_turn_is_in_the_summary_or_after_it_f20(
    cosmos: LocalCosmos, model: ModelServer, live_rows: Rows
) -> None:
    """A turn taken at any moment makes the session due, and the next run includes it."""

    async def check(keepsake: Keepsake) -> None:
        await assert_exact_summary(keepsake)
        (header,) = live_rows("session")
        assert (header["due_at"] is None) == (header["consolidated_seq"] == header["turn_count"])
        cosmos.clock.advance(IDLE)
        await keepsake.run_timers()
        await assert_exact_summary(keepsake)
        assert (await keepsake.get("/sessions/s"))["consolidated_seq"] == TURNS + 1

    assert await interleave(cosmos, model, lambda other: record_turn(other, TURNS), check) >= 9


async def test_concurrent_consolidations_make_one_summary_f21(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """The first to commit wins; the other's result is discarded."""

    async def check(keepsake: Keepsake) -> None:
        await assert_exact_summary(keepsake)
        assert (await keepsake.get("/sessions/s"))["consolidated_seq"] == TURNS

    assert await interleave(cosmos, model, run, check) >= 9


async def test_a_concurrent_summary_is_not_overwritten_f21(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A summary committed by another run before this run's last write is kept."""
    was_extractive: list[bool] = []

    async def extract(_: Keepsake) -> None:
        async with running(cosmos, model, summariser="extractive", **SMALL_CHUNKS) as extracting:
            await run(extracting)

    async def check(keepsake: Keepsake) -> None:
        was_extractive.append((await keepsake.get("/sessions/s"))["summary"]["extractive"])

    await interleave(cosmos, model, extract, check)
    assert was_extractive == sorted(was_extractive, reverse=True)
    assert set(was_extractive) == {True, False}


async def test_a_session_deleted_meanwhile_leaves_nothing(
    cosmos: LocalCosmos, model: ModelServer, live_rows: Rows
) -> None:
    """Deleted at any moment: no header, no summary, and nothing for other sessions."""

    async def delete(keepsake: Keepsake) -> None:
        async with keepsake.client() as client:
            assert (await client.delete("/sessions/s")).status_code == 204

    async def check(keepsake: Keepsake) -> None:
        assert (live_rows("session"), live_rows("turn")) == ([], [])
        await keepsake.chat("Hello", session_id="other")
        assert "My number" not in str(model.requests[-1])
        assert "My number" not in str(cosmos.rows("preferences"))
        async with keepsake.client() as client:
            await client.delete("/sessions/other")

    assert await interleave(cosmos, model, delete, check) >= 9


async def test_a_recreated_session_has_no_old_summary(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A new incarnation has nothing of the old one."""

    async def recreate(keepsake: Keepsake) -> None:
        async with keepsake.client() as client:
            await client.delete("/sessions/s")
        await record_turn(keepsake, 9)

    async def check(keepsake: Keepsake) -> None:
        session = await keepsake.get("/sessions/s")
        assert session["turn_count"] == 1
        assert "My number is 0" not in str(session) + str(cosmos.rows("preferences"))

    assert await interleave(cosmos, model, recreate, check) >= 9


async def test_with_memory_off_nothing_is_summarised(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer, live_rows: Rows
) -> None:
    """With memory off nothing is summarised, not even what is due; switched on again, it is."""
    await keepsake.chat("My cat is called Mina.")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
        cosmos.clock.advance(IDLE)
        await keepsake.run_timers()
        assert ("summary" in await keepsake.get("/sessions/s"), len(model.requests)) == (False, 1)
        assert live_rows("session")[0]["due_at"] is None
        await client.put("/preferences", json={"memory_enabled": True})
    await keepsake.chat("I live in Oslo.")
    cosmos.clock.advance(IDLE)
    await keepsake.run_timers()
    assert (await keepsake.get("/sessions/s"))["summary"][
        "text"
    ] == "My cat is called Mina. I live in Oslo."


async def test_turns_taken_with_memory_off_are_in_no_summary(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Turns taken with memory off are left out of the next summary."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
        await keepsake.chat("My secret is 42.")
        await client.put("/preferences", json={"memory_enabled": True})
    await keepsake.chat("My cat is called Mina.")
    cosmos.clock.advance(IDLE)
    await keepsake.run_timers()
    session = await keepsake.get("/sessions/s")
    assert (session["summary"]["text"], session["consolidated_seq"]) == (
        "My cat is called Mina.",
        2,
    )
    assert "42" not in str(model.requests[-1])


async def test_preferences_from_before_an_erase_do_not_switch_memory_off(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """An erased user starts with memory on and is summarised."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
        await keepsake.chat("Hello", session_id="before")
    await bump_epoch(cosmos, "ada")
    await keepsake.chat("My cat is called Mina.")
    async with keepsake.client() as client:
        session = (await client.post("/sessions/s/consolidate")).json()
    assert session["summary"]["text"] == "My cat is called Mina."
