"""A process that dies at any moment of a turn: the resend completes it, and it is stored once (F22's harness)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from local.model import Behaviour
from shared.domain.errors import KeepsakeError
from tests.support.app import Keepsake, running
from tests.support.ask import ADA, a_question
from tests.support.faulty import Countdown, MortalTransport, ProcessDied, make_redis_mortal
from tests.support.model_server import ModelServer
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Ward:
    """A healthy worker, and what it takes to let others die beside it."""

    cosmos: LocalCosmos
    model: ModelServer
    redis: RedisServer
    session_cache: dict[str, Any]
    healthy: Keepsake

    @asynccontextmanager
    async def dying(self, life: Countdown) -> AsyncIterator[Keepsake]:
        """A worker of this life."""
        wrap = lambda inner: MortalTransport(inner, life)  # noqa: E731 - as `running` takes it
        async with running(self.cosmos, self.model, wrap=wrap, **self.session_cache) as worker:
            await make_redis_mortal(worker, life)
            yield worker

    async def dies(self, session: str, life: Countdown) -> bool:
        """Whether a worker died before it could answer."""
        async with self.dying(life) as worker:
            services = await worker.composition.services()
            try:
                await services.conversation.ask(ADA, a_question(session))
            except (ProcessDied, KeepsakeError):
                assert life.is_dead
        return life.is_dead

    async def say_earlier(self, session: str, count: int) -> None:
        """Turns of the conversation that came before."""
        for n in range(count):
            await self.healthy.chat(f"Earlier {n}", session_id=session, turn_id=f"e{n}")

    async def resend_and_check(self, session: str, earlier: int) -> None:
        """Send it twice more, when the lease of the dead is over: one turn, one answer, and the window is right."""
        self.redis.end_leases()
        answers = [
            (await self.healthy.chat("Hello", session_id=session, turn_id="t")).json()
            for _ in range(2)
        ]
        turns = await self.healthy.transcript(session)
        assert [turn["seq"] for turn in turns] == list(range(1, earlier + 2))
        assert [turn["turn_id"] for turn in turns].count("t") == 1
        assert answers[0]["reply"] == answers[1]["reply"] == turns[-1]["messages"][-1]["content"]
        await self.healthy.chat("And then?", session_id=session)
        last = (await self.healthy.chat("Then?", session_id=session)).json()
        assert f"given {2 * (earlier + 2)} earlier messages" in last["reply"]


@pytest.fixture
async def ward(
    cosmos: LocalCosmos,
    model: ModelServer,
    redis: RedisServer,
    session_cache: dict[str, Any],
    keepsake: Keepsake,
) -> Ward:
    """With a session cache, and without."""
    return Ward(cosmos, model, redis, session_cache, keepsake)


@pytest.mark.parametrize("applied", [False, True], ids=["request-lost", "answer-lost"])
@pytest.mark.parametrize("earlier_turns", [0, 2])
async def test_a_turn_that_died_at_any_request_is_stored_once_f22(
    ward: Ward,
    earlier_turns: int,
    applied: bool,  # noqa: FBT001 - a table's column
) -> None:
    """Killed at request k to Cosmos DB or Redis, for every k, then sent again: one turn, one answer, dense order."""
    dies_at = 1
    await ward.say_earlier("s1", earlier_turns)
    while await ward.dies(f"s{dies_at}", Countdown(dies_at, applied=applied)):
        await ward.resend_and_check(f"s{dies_at}", earlier_turns)
        dies_at += 1
        await ward.say_earlier(f"s{dies_at}", earlier_turns)
    assert dies_at > (5 if ward.session_cache else 3)


@pytest.mark.parametrize("earlier_turns", [0, 2])
async def test_a_turn_that_died_while_the_model_wrote_is_stored_once_f22(
    ward: Ward, earlier_turns: int
) -> None:
    """Killed while it waited for the model: its lease stays, nothing is stored, and the resend asks again."""
    await ward.say_earlier("s", earlier_turns)
    async with ward.dying(life := Countdown(0, applied=False)) as worker:
        services = await worker.composition.services()
        ward.model.script.append(Behaviour(delay=0.5))
        asked = len(ward.model.requests)
        turn = asyncio.create_task(services.conversation.ask(ADA, a_question()))
        await ward.model.wait_for_requests(asked + 1)
        life.dies_at = life.requests
        with pytest.raises(ProcessDied):
            await turn
    assert ward.redis.count_leases() == len(ward.session_cache)
    await ward.resend_and_check("s", earlier_turns)


async def test_two_sends_that_both_die_leave_one_turn_f22(ward: Ward) -> None:
    """Two processes die with the same turn in the air; the third send finds or makes the one turn."""
    for dies_at in range(3, 9):
        lives = [Countdown(dies_at, applied=True), Countdown(dies_at - 1, applied=True)]
        await asyncio.gather(*(ward.dies(f"s{dies_at}", life) for life in lives))
        await ward.resend_and_check(f"s{dies_at}", 0)
