"""A process that dies at any moment of a turn: the resend completes it, and it is stored once (F22's harness)."""

import asyncio

import pytest

from local.cosmos import LocalCosmos
from local.model import Behaviour
from shared.domain.errors import KeepsakeError
from tests.support.app import Keepsake, running
from tests.support.ask import ADA, a_question
from tests.support.faulty import Countdown, MortalTransport, ProcessDied
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("applied", [False, True], ids=["request-lost", "answer-lost"])
@pytest.mark.parametrize("earlier_turns", [0, 2])
async def test_a_turn_that_died_at_any_request_is_stored_once_f22(
    cosmos: LocalCosmos,
    model: ModelServer,
    earlier_turns: int,
    applied: bool,  # noqa: FBT001 - a table's column
) -> None:
    """Killed at request k, for every k, then sent again by another process: one turn, one answer, dense order."""
    async with running(cosmos, model) as healthy:
        lives = 0
        dies_at = 1
        while await _dies(cosmos, model, f"s{dies_at}", Countdown(dies_at, applied=applied), earlier_turns, healthy):
            await _resend_and_check(healthy, f"s{dies_at}", earlier_turns)
            lives, dies_at = lives + 1, dies_at + 1
    assert lives >= 4


@pytest.mark.parametrize("earlier_turns", [0, 2])
async def test_a_turn_that_died_while_the_model_wrote_is_stored_once_f22(
    cosmos: LocalCosmos, model: ModelServer, earlier_turns: int
) -> None:
    """Killed while it waited for the model: nothing is stored, and the resend asks the model again."""
    async with running(cosmos, model) as healthy:
        await _earlier(healthy, "s", earlier_turns)
        life = Countdown(0, applied=False)
        async with running(cosmos, model, wrap=lambda inner: MortalTransport(inner, life)) as dying:
            services = await dying.composition.services()
            model.script.append(Behaviour(delay=0.5))
            asked = len(model.requests)
            turn = asyncio.create_task(services.conversation.ask(ADA, a_question()))
            await model.wait_for_requests(asked + 1)
            life.dies_at = life.requests
            with pytest.raises(ProcessDied):
                await turn
        await _resend_and_check(healthy, "s", earlier_turns)


async def test_two_sends_that_both_die_leave_one_turn_f22(cosmos: LocalCosmos, model: ModelServer) -> None:
    """Two processes die with the same turn in the air; the third send finds or makes the one turn."""
    async with running(cosmos, model) as healthy:
        for dies_at in range(3, 9):
            lives = [Countdown(dies_at, applied=True), Countdown(dies_at - 1, applied=True)]
            await asyncio.gather(*(_dies(cosmos, model, f"s{dies_at}", life, 0, healthy) for life in lives))
            await _resend_and_check(healthy, f"s{dies_at}", 0)


async def _dies(
    cosmos: LocalCosmos, model: ModelServer, session: str, countdown: Countdown, earlier: int, healthy: Keepsake
) -> bool:
    """Whether the process died before it could answer."""
    await _earlier(healthy, session, earlier)
    async with running(cosmos, model, wrap=lambda inner: MortalTransport(inner, countdown)) as dying:
        services = await dying.composition.services()
        try:
            await services.conversation.ask(ADA, a_question(session))
        except (ProcessDied, KeepsakeError):
            return True
    return countdown.is_dead


async def _earlier(healthy: Keepsake, session: str, count: int) -> None:
    known = await healthy.get(f"/sessions/{session}/turns")
    for n in range(count - len(known.get("value", ()))):
        await healthy.chat(f"Earlier {n}", session_id=session, turn_id=f"e{n}")


async def _resend_and_check(healthy: Keepsake, session: str, earlier: int) -> None:
    answers = [(await healthy.chat("Hello", session_id=session, turn_id="t")).json() for _ in range(2)]
    turns = await healthy.transcript(session)
    assert [turn["seq"] for turn in turns] == list(range(1, earlier + 2))
    assert [turn["turn_id"] for turn in turns].count("t") == 1
    assert answers[0]["reply"] == answers[1]["reply"] == turns[-1]["messages"][-1]["content"]
