"""A consolidation fails at any of its requests and is repeated: the result is the same."""

from typing import Any

import pytest

from cosmos_local import LocalCosmos
from shared.domain.errors import KeepsakeError
from shared.domain.ids import SessionId
from shared.ports.jobs import ConsolidationJob
from tests.support.app import Keepsake, ProcessDied, running
from tests.support.ask import ADA
from tests.support.faulty import Countdown, CrashingTransport, FailingTransport
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio

TURNS = 7
SMALL_CHUNKS: dict[str, Any] = {"summary_chunk_tokens": 500}
LONG = "I wrote this down. " + "x" * 600  # three such turns are a chunk


@pytest.mark.parametrize("applied", [False, True], ids=["request-lost", "response-lost"])
@pytest.mark.parametrize(
    "transport", [CrashingTransport, FailingTransport], ids=["killed", "failed"]
)
async def test_a_consolidation_interrupted_at_any_request_converges_f22(
    cosmos: LocalCosmos,
    model: ModelServer,
    transport: type[CrashingTransport | FailingTransport],
    applied: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Interrupted at request k, for every k, and delivered again to another process."""
    async with running(cosmos, model, **SMALL_CHUNKS) as healthy:
        await _record_turns(healthy, "uninterrupted")
        await _run(healthy, "uninterrupted")
        expected = await _read_outcome(healthy, cosmos, "uninterrupted")
        interruptions, k = 0, 1
        while await _interrupt(cosmos, model, healthy, f"s{k}", transport, k, applied):
            await _run(healthy, f"s{k}")
            assert await _read_outcome(healthy, cosmos, f"s{k}") == expected, k
            interruptions, k = interruptions + 1, k + 1
    assert interruptions >= 12
    assert expected["summary"]["to_seq"] == TURNS


async def test_a_consolidation_with_a_failed_model_call_is_repeated_f22(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Without an answer of the model, nothing is committed."""
    async with running(cosmos, model) as keepsake:
        await _record_turns(keepsake, "s")
        model.fail_next(503)
        with pytest.raises(KeepsakeError):
            await (await keepsake.composition.services()).consolidation.consolidate(
                ADA, SessionId("s")
            )
        before = await keepsake.get("/sessions/s")
        await _run(keepsake, "s")
        after = await keepsake.get("/sessions/s")
    assert (before["consolidated_seq"], "summary" in before, after["consolidated_seq"]) == (
        0,
        False,
        TURNS,
    )


async def _record_turns(keepsake: Keepsake, session: str) -> None:
    for n in range(TURNS):
        turn = {"messages": [{"role": "user", "content": f"My number is {n}. {LONG}"}]}
        async with keepsake.client() as client:
            await client.put(f"/sessions/{session}/turns/t{n}", json=turn)


async def _run(keepsake: Keepsake, session: str) -> None:
    services = await keepsake.composition.services()
    await services.consolidation.run(ConsolidationJob(ADA, SessionId(session)))


async def _interrupt(
    cosmos: LocalCosmos,
    model: ModelServer,
    healthy: Keepsake,
    session: str,
    transport: type[CrashingTransport | FailingTransport],
    at: int,
    applied: bool,  # noqa: FBT001 - see above
) -> bool:
    """Whether the consolidation was interrupted before it was done."""
    await _record_turns(healthy, session)
    countdown = Countdown(at, applied=applied)

    async with running(
        cosmos, model, wrap=lambda inner: transport(inner, countdown), **SMALL_CHUNKS
    ) as interrupted:
        try:
            await _run(interrupted, session)
        except (ProcessDied, KeepsakeError):
            return True
    return countdown.is_dead


async def _read_outcome(keepsake: Keepsake, cosmos: LocalCosmos, session: str) -> dict[str, Any]:
    """The result: the header's fields, what other sessions see, and all turns."""
    header = next(
        row
        for row in cosmos.rows("memory")
        if row["kind"] == "session" and row["session_id"] == session
    )
    preferences: dict[str, Any] = cosmos.rows("preferences")[0]
    published = [
        one["text"] for one in preferences["recent_sessions"] if one["session_id"] == session
    ]
    outcome: dict[str, Any] = {
        name: header.get(name)
        for name in ("consolidated_seq", "summary", "due_at", "attempts", "dead_lettered")
    }
    del outcome["summary"]["expires_at"]  # differs between sessions, as their newest turns do
    return outcome | {
        "published": published,
        "turns": [turn["turn_id"] for turn in await keepsake.transcript(session)],
    }
