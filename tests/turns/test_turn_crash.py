"""A process dies at any point of a turn: a resend completes it, and it is stored once (F22)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from local.model import Behaviour
from shared.domain.errors import KeepsakeError
from tests.support.app import Keepsake, ProcessDied, running
from tests.support.ask import a_chat_request
from tests.support.faulty import Countdown, CrashingTransport, let_redis_calls_crash
from tests.support.model_server import ModelServer
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Harness:
    """A healthy worker, and what is needed to run others that die."""

    cosmos: LocalCosmos
    model: ModelServer
    redis: RedisServer
    session_cache: dict[str, Any]
    healthy: Keepsake

    @asynccontextmanager
    async def dying(self, countdown: Countdown) -> AsyncIterator[Keepsake]:
        """A worker that dies when the countdown says so."""
        wrap = lambda inner: CrashingTransport(inner, countdown)  # noqa: E731 - as `running` takes it
        async with running(self.cosmos, self.model, wrap=wrap, **self.session_cache) as worker:
            await let_redis_calls_crash(worker, countdown)
            yield worker

    async def dies_during_turn(self, session: str, countdown: Countdown) -> bool:
        """Whether a worker died before it could answer."""
        async with self.dying(countdown) as worker:
            services = await worker.composition.services()
            try:
                await services.chat.ask(a_chat_request(session))
            except (ProcessDied, KeepsakeError):
                assert countdown.is_dead
        return countdown.is_dead

    async def take_earlier_turns(self, session: str, count: int) -> None:
        """Take turns of the session before the one that is interrupted."""
        for n in range(count):
            await self.healthy.chat(f"Earlier {n}", session_id=session, turn_id=f"e{n}")

    async def resend_and_check(self, session: str, earlier: int) -> None:
        """Send the turn twice after the lease has expired, and check its session."""
        self.redis.expire_leases()
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
async def harness(
    cosmos: LocalCosmos,
    model: ModelServer,
    redis: RedisServer,
    session_cache: dict[str, Any],
    keepsake: Keepsake,
) -> Harness:
    """In both modes: with a session cache and without."""
    return Harness(cosmos, model, redis, session_cache, keepsake)


@pytest.mark.parametrize("applied", [False, True], ids=["request-lost", "response-lost"])
@pytest.mark.parametrize("earlier_turns", [0, 2])
async def test_a_turn_killed_at_any_request_is_stored_once_f22(
    harness: Harness,
    earlier_turns: int,
    applied: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Killed at its k-th request to Cosmos DB or Redis, for every k, and sent again."""
    dies_at = 1
    await harness.take_earlier_turns("s1", earlier_turns)
    while await harness.dies_during_turn(f"s{dies_at}", Countdown(dies_at, applied=applied)):
        await harness.resend_and_check(f"s{dies_at}", earlier_turns)
        dies_at += 1
        await harness.take_earlier_turns(f"s{dies_at}", earlier_turns)
    assert dies_at > (5 if harness.session_cache else 3)


@pytest.mark.parametrize("earlier_turns", [0, 2])
async def test_a_turn_killed_during_generation_is_stored_once_f22(
    harness: Harness, earlier_turns: int
) -> None:
    """Killed while it waits for the model: the lease remains, and the resend asks again."""
    await harness.take_earlier_turns("s", earlier_turns)
    async with harness.dying(countdown := Countdown(0, applied=False)) as worker:
        services = await worker.composition.services()
        harness.model.script.append(Behaviour(delay=0.5))
        requests_before = len(harness.model.requests)
        turn = asyncio.create_task(services.chat.ask(a_chat_request()))
        await harness.model.wait_for_requests(requests_before + 1)
        countdown.dies_at = countdown.requests
        with pytest.raises(ProcessDied):
            await turn
    assert harness.redis.count_leases() == len(harness.session_cache)
    await harness.resend_and_check("s", earlier_turns)


async def test_two_killed_sends_leave_one_turn_f22(harness: Harness) -> None:
    """Two processes die during the same turn; the third send finds or creates the one turn."""
    for dies_at in range(3, 9):
        countdowns = [Countdown(dies_at, applied=True), Countdown(dies_at - 1, applied=True)]
        await asyncio.gather(
            *(harness.dies_during_turn(f"s{dies_at}", countdown) for countdown in countdowns)
        )
        await harness.resend_and_check(f"s{dies_at}", 0)
