"""A consolidation that is disturbed at any of its requests, and done again: nothing shows it."""

from typing import Any

import pytest

from cosmos_local import LocalCosmos
from shared.domain.errors import KeepsakeError
from shared.domain.ids import SessionId
from shared.ports.jobs import ConsolidationJob
from tests.support.app import Keepsake, running
from tests.support.ask import ADA
from tests.support.faulty import Countdown, FailingTransport, MortalTransport, ProcessDied
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio

TURNS = 7
PIECE: dict[str, Any] = {"summary_piece_tokens": 500}
LONG = "I wrote this down. " + "x" * 600  # three such turns are a piece


@pytest.mark.parametrize("applied", [False, True], ids=["request-lost", "answer-lost"])
@pytest.mark.parametrize("transport", [MortalTransport, FailingTransport], ids=["killed", "failed"])
async def test_a_consolidation_disturbed_at_any_request_converges_f22(
    cosmos: LocalCosmos,
    model: ModelServer,
    transport: type[MortalTransport | FailingTransport],
    applied: bool,  # noqa: FBT001 - a table's column
) -> None:
    """Struck at request k, for every k, and delivered once more to another process: as if nothing had happened."""
    async with running(cosmos, model, **PIECE) as healthy:
        await _say(healthy, "undisturbed")
        await _run(healthy, "undisturbed")
        expected = await _outcome(healthy, cosmos, "undisturbed")
        struck, k = 0, 1
        while await _struck(cosmos, model, healthy, f"s{k}", transport, k, applied):
            await _run(healthy, f"s{k}")
            assert await _outcome(healthy, cosmos, f"s{k}") == expected, k
            struck, k = struck + 1, k + 1
    assert struck >= 12
    assert expected["summary"]["to_seq"] == TURNS


async def test_a_consolidation_that_died_with_its_model_call_is_done_again_f22(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Nothing is committed of a summary that never came."""
    async with running(cosmos, model) as keepsake:
        await _say(keepsake, "s")
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


async def _say(keepsake: Keepsake, session: str) -> None:
    for n in range(TURNS):
        turn = {"messages": [{"role": "user", "content": f"My number is {n}. {LONG}"}]}
        async with keepsake.client() as client:
            await client.put(f"/sessions/{session}/turns/t{n}", json=turn)


async def _run(keepsake: Keepsake, session: str) -> None:
    services = await keepsake.composition.services()
    await services.consolidation.run(ConsolidationJob(ADA, SessionId(session)))


async def _struck(
    cosmos: LocalCosmos,
    model: ModelServer,
    healthy: Keepsake,
    session: str,
    transport: type[MortalTransport | FailingTransport],
    at: int,
    applied: bool,  # noqa: FBT001 - see above
) -> bool:
    """Whether the consolidation was disturbed before it was done."""
    await _say(healthy, session)
    life = Countdown(at, applied=applied)

    async with running(
        cosmos, model, wrap=lambda inner: transport(inner, life), **PIECE
    ) as disturbed:
        try:
            await _run(disturbed, session)
        except (ProcessDied, KeepsakeError):
            return True
    return life.is_dead


async def _outcome(keepsake: Keepsake, cosmos: LocalCosmos, session: str) -> dict[str, Any]:
    """What is left of a consolidation: the header's share, what other sessions are told, and that no turn is gone."""
    header = next(
        row
        for row in cosmos.rows("memory")
        if row["kind"] == "session" and row["session_id"] == session
    )
    beside: dict[str, Any] = cosmos.rows("preferences")[0]
    told = [one["text"] for one in beside["last_times"] if one["session_id"] == session]
    kept: dict[str, Any] = {
        name: header.get(name)
        for name in ("consolidated_seq", "summary", "due_at", "attempts", "parked")
    }
    del kept["summary"]["expires_at"]  # that of its newest turn, which was said at another time
    return kept | {
        "told": told,
        "turns": [turn["turn_id"] for turn in await keepsake.transcript(session)],
    }
