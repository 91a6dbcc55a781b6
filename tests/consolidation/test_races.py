"""What happens while a session is consolidated, at any of its requests: each turn is in its summary, or after it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from shared.domain.ids import SessionId
from shared.ports.jobs import ConsolidationJob
from tests.conftest import Rows
from tests.support.app import Keepsake, running
from tests.support.ask import ADA
from tests.support.faulty import Meanwhile
from tests.support.model_server import ModelServer
from tests.support.rows import bump_epoch

pytestmark = pytest.mark.anyio

TURNS = 5
PIECE: dict[str, Any] = {"summary_piece_tokens": 500}
IDLE = 31 * 60
Happening = Callable[[Keepsake], Awaitable[object]]


async def say(keepsake: Keepsake, n: int, session: str = "s") -> None:
    """Record turn n, which holds one statement of its own, and is a third of a piece."""
    turn = {"messages": [{"role": "user", "content": f"My number is {n}. {'x' * 600}"}]}
    async with keepsake.client() as client:
        assert (await client.put(f"/sessions/{session}/turns/t{n}", json=turn)).status_code < 300


async def run(keepsake: Keepsake) -> None:
    """What the queue function does."""
    await (await keepsake.composition.services()).consolidation.run(
        ConsolidationJob(ADA, SessionId("s"))
    )


async def while_consolidating(
    cosmos: LocalCosmos, model: ModelServer, happening: Happening, check: Happening
) -> int:
    """Let it happen before request k, for every k; check each time; how many there were."""
    k = 1
    while True:
        async with running(cosmos, model, **PIECE) as other:
            async with other.client() as client:
                await client.delete("/sessions/s")
            for n in range(TURNS):
                await say(other, n)
            meanwhile = Meanwhile(k, lambda: happening(other))
            async with running(cosmos, model, wrap=meanwhile.wrap, **PIECE) as consolidating:
                await run(consolidating)
            if not meanwhile.happened:
                return k - 1
            await check(other)
        k += 1


async def summary_is_exact(keepsake: Keepsake) -> None:
    """The summary tells each number of its range once, and of no turn outside of it."""
    session = await keepsake.get("/sessions/s")
    summary, told = session["summary"], session["summary"]["text"]
    assert (summary["from_seq"], summary["to_seq"]) == (1, session["consolidated_seq"])
    counts = [told.count(f"My number is {n}.") for n in range(session["turn_count"])]
    assert counts == [int(n < session["consolidated_seq"]) for n in range(session["turn_count"])]


async def test_a_turn_in_the_middle_is_in_the_summary_or_after_it_f20(
    cosmos: LocalCosmos, model: ModelServer, live_rows: Rows
) -> None:
    """A turn said at any moment is not lost: what is after the summary is due, and the next run takes it in."""

    async def check(keepsake: Keepsake) -> None:
        await summary_is_exact(keepsake)
        (header,) = live_rows("session")
        assert (header["due_at"] is None) == (header["consolidated_seq"] == header["turn_count"])
        cosmos.clock.advance(IDLE)
        await keepsake.tick()
        await summary_is_exact(keepsake)
        assert (await keepsake.get("/sessions/s"))["consolidated_seq"] == TURNS + 1

    assert await while_consolidating(cosmos, model, lambda other: say(other, TURNS), check) >= 9


async def test_two_consolidations_at_once_make_one_summary_f21(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Whichever comes first wins; the other's result is thrown away."""

    async def check(keepsake: Keepsake) -> None:
        await summary_is_exact(keepsake)
        assert (await keepsake.get("/sessions/s"))["consolidated_seq"] == TURNS

    assert await while_consolidating(cosmos, model, run, check) >= 9


async def test_what_was_consolidated_meanwhile_stands_f21(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A summary by other means, made at any moment before the last write, is the one that is kept."""
    kept: list[bool] = []

    async def extract(_: Keepsake) -> None:
        async with running(cosmos, model, summariser="extractive", **PIECE) as extracting:
            await run(extracting)

    async def check(keepsake: Keepsake) -> None:
        kept.append((await keepsake.get("/sessions/s"))["summary"]["extractive"])

    await while_consolidating(cosmos, model, extract, check)
    assert kept == sorted(kept, reverse=True)
    assert set(kept) == {True, False}


async def test_a_session_deleted_in_the_middle_leaves_nothing(
    cosmos: LocalCosmos, model: ModelServer, live_rows: Rows
) -> None:
    """Deleted at any moment: no header, no summary, and no other session is told of it."""

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

    assert await while_consolidating(cosmos, model, delete, check) >= 9


async def test_a_session_begun_anew_in_the_middle_has_no_old_summary(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Its new incarnation is another session: nothing of the old one is kept in it."""

    async def begin_anew(keepsake: Keepsake) -> None:
        async with keepsake.client() as client:
            await client.delete("/sessions/s")
        await say(keepsake, 9)

    async def check(keepsake: Keepsake) -> None:
        session = await keepsake.get("/sessions/s")
        assert session["turn_count"] == 1
        assert "My number is 0" not in str(session) + str(cosmos.rows("preferences"))

    assert await while_consolidating(cosmos, model, begin_anew, check) >= 9


async def test_memory_switched_off_before_is_respected(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer, live_rows: Rows
) -> None:
    """Who wants nothing remembered gets no summary, not even of what is due already; switched on again, they do."""
    await keepsake.chat("My cat is called Mina.")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
        cosmos.clock.advance(IDLE)
        await keepsake.tick()
        assert ("summary" in await keepsake.get("/sessions/s"), len(model.requests)) == (False, 1)
        assert live_rows("session")[0]["due_at"] is None
        await client.put("/preferences", json={"memory_enabled": True})
    await keepsake.chat("I live in Oslo.")
    cosmos.clock.advance(IDLE)
    await keepsake.tick()
    assert (await keepsake.get("/sessions/s"))["summary"][
        "text"
    ] == "My cat is called Mina. I live in Oslo."


async def test_what_is_off_the_record_is_in_no_summary(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Turns said with memory switched off are passed over by the next consolidation."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
        await keepsake.chat("My secret is 42.")
        await client.put("/preferences", json={"memory_enabled": True})
    await keepsake.chat("My cat is called Mina.")
    cosmos.clock.advance(IDLE)
    await keepsake.tick()
    session = await keepsake.get("/sessions/s")
    assert (session["summary"]["text"], session["consolidated_seq"]) == (
        "My cat is called Mina.",
        2,
    )
    assert "42" not in str(model.requests[-1])


async def test_preferences_from_before_an_erase_switch_nothing_off(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A user who is erased begins with memory on, and is summarised."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
        await keepsake.chat("Hello", session_id="before")
    await bump_epoch(cosmos, "ada")
    await keepsake.chat("My cat is called Mina.")
    async with keepsake.client() as client:
        session = (await client.post("/sessions/s/consolidate")).json()
    assert session["summary"]["text"] == "My cat is called Mina."
