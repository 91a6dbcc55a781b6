"""A state machine: two sessions compared with a dict, through crashes and failures of Redis."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cosmos_local import LocalCosmos
from shared.domain.errors import KeepsakeError
from tests.support.app import PATIENT, Keepsake, ProcessDied, running
from tests.support.ask import a_chat_request
from tests.support.faulty import Countdown, CrashingTransport
from tests.support.model_server import ModelServer
from tests.support.redis_server import RedisServer

CONTAINERS = Path(__file__).parent.parent.parent / "infra" / "containers.json"
SLOW = os.environ.get("KEEPSAKE_SLOW") == "1"
SESSIONS = st.sampled_from(["a", "b"])
TURNS = st.sampled_from([f"t{n}" for n in range(5)])
BODIES = st.sampled_from(["Hello", "Goodbye"])
DAY = 86_400
NO_PAUSE = replace(PATIENT, redis_pause=0)


@pytest.mark.timeout(600 if SLOW else 120)
def test_sessions_behave_like_a_dict(model: ModelServer, redis: RedisServer) -> None:
    """Whatever happens, each turn is stored once, in order, and the window is the newest part."""
    run_state_machine_as_test(
        lambda: Sessions(model, redis),  # type: ignore[arg-type]  # any factory works
        settings=settings(
            max_examples=300 if SLOW else 12,
            stateful_step_count=40 if SLOW else 20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


class Sessions(RuleBasedStateMachine):
    """The application, and the sessions it should have: lists of (turn id, message, reply)."""

    def __init__(self, model: ModelServer, redis: RedisServer) -> None:
        """Start with empty stores."""
        super().__init__()
        model.reset()
        redis.reset()
        self.model, self.redis = model, redis
        self.cosmos = LocalCosmos.open(None, CONTAINERS)
        self.runner = asyncio.Runner()
        self.countdown = running(
            self.cosmos, model, deadlines=NO_PAUSE, redis_socket=str(redis.socket)
        )
        self.app: Keepsake = self.runner.run(self.countdown.__aenter__())
        self.expected: dict[str, list[tuple[str, str, str]]] = {}
        self.snapshot: dict[str, dict[str, str]] = {}

    @rule(session=SESSIONS, turn=TURNS, body=BODIES)
    def send(self, session: str, turn: str, body: str) -> None:
        """A turn is new, a replay, or in conflict with an earlier one of its id."""
        response = self.runner.run(self.app.chat(body, session_id=session, turn_id=turn))
        turns = self.expected.setdefault(session, [])
        known = next((known for known in turns if known[0] == turn), None)
        if known is None:
            answer = response.json()
            assert (answer["seq"], answer["replayed"]) == (len(turns) + 1, False)
            assert f"I was given {2 * min(10, len(turns))} earlier" in answer["reply"]
            turns.append((turn, body, answer["reply"]))
        elif known[1] == body:
            assert (response.json()["reply"], response.json()["replayed"]) == (known[2], True)
        else:
            assert response.status_code == 409

    @rule(
        session=SESSIONS, turn=TURNS, body=BODIES, dies_at=st.integers(1, 8), applied=st.booleans()
    )
    def send_and_die(self, session: str, turn: str, body: str, dies_at: int, applied: bool) -> None:  # noqa: FBT001
        """A worker dies during a turn: the turn is stored completely or not at all."""
        self.runner.run(
            self._send_and_die(session, turn, body, Countdown(dies_at, applied=applied))
        )
        self.redis.expire_leases()
        stored = self._transcript(session)
        before = self.expected.get(session, [])
        assert stored[: len(before)] == before
        assert [known[0] for known in stored[len(before) :]] in ([], [turn])
        self.expected[session] = stored

    @rule(session=SESSIONS)
    def delete(self, session: str) -> None:
        """A deleted session is gone, and its id starts a new one."""
        self.runner.run(self._delete(session))
        self.expected.pop(session, None)

    @rule()
    def flush_redis(self) -> None:
        """Redis loses all its data."""
        with self.redis.client() as client:
            client.flushall()

    @rule()
    def snapshot_redis(self) -> None:
        """A replica stops replicating at this point."""
        with self.redis.client() as client:
            self.snapshot = {key: client.hgetall(key) for key in client.keys("session:*")}

    @rule()
    def fail_over_to_the_snapshot(self) -> None:
        """The outdated replica becomes the primary."""
        with self.redis.client() as client:
            client.flushall()
            for key, fields in self.snapshot.items():
                client.hset(key, mapping=fields)
        self.redis.expire_leases()

    @rule(session=SESSIONS, turn=TURNS, body=BODIES)
    def send_without_redis(self, session: str, turn: str, body: str) -> None:
        """Redis is down for one turn and empty afterwards."""
        self.redis.stop()
        try:
            self.send(session, turn, body)
        finally:
            self.redis.start()

    @rule()
    def wait_ninety_days(self) -> None:
        """Everything expires."""
        self.cosmos.clock.advance(91 * DAY)
        self.expected.clear()

    @invariant()
    def transcripts_are_as_expected(self) -> None:
        """Every transcript equals the dict's list and has no gap."""
        for session in ("a", "b"):
            assert self._transcript(session) == self.expected.get(session, [])

    def teardown(self) -> None:
        """Close everything."""
        self.runner.run(self.countdown.__aexit__(None, None, None))
        self.runner.close()
        self.cosmos.close()

    def _transcript(self, session: str) -> list[tuple[str, str, str]]:
        page = self.runner.run(self.app.get(f"/sessions/{session}/turns?limit=100"))
        turns: list[dict[str, Any]] = page.get("value", [])
        assert [turn["seq"] for turn in turns] == list(range(1, len(turns) + 1))
        return [
            (turn["turn_id"], *(message["content"] for message in turn["messages"]))
            for turn in turns
        ]

    async def _delete(self, session: str) -> None:
        async with self.app.client() as client:
            assert (await client.delete(f"/sessions/{session}")).status_code == 204

    async def _send_and_die(self, session: str, turn: str, body: str, countdown: Countdown) -> None:
        def mortal(inner: Any) -> CrashingTransport:
            return CrashingTransport(inner, countdown)

        async with running(
            self.cosmos, self.model, wrap=mortal, redis_socket=str(self.redis.socket)
        ) as dying:
            services = await dying.composition.services()
            try:
                await services.chat.ask(a_chat_request(session, turn, body))
            except (ProcessDied, KeepsakeError):
                return
