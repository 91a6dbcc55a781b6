"""Random lives of two sessions against a dict: turns, resends, deletes, crashes, and a Redis that comes and goes."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cosmos_local import LocalCosmos
from shared.adapters import redis_sessions
from shared.domain.errors import KeepsakeError
from tests.support.app import Keepsake, running
from tests.support.ask import ADA, a_question
from tests.support.faulty import Countdown, MortalTransport, ProcessDied
from tests.support.model_server import ModelServer
from tests.support.redis_server import RedisServer

CONTAINERS = Path(__file__).parent.parent.parent / "infra" / "containers.json"
SLOW = os.environ.get("KEEPSAKE_SLOW") == "1"
SESSIONS = st.sampled_from(["a", "b"])
TURNS = st.sampled_from([f"t{n}" for n in range(5)])
BODIES = st.sampled_from(["Hello", "Goodbye"])
DAY = 86_400


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_sessions, "REST_SECONDS", 0.0)


@pytest.mark.timeout(600 if SLOW else 120)
def test_sessions_are_what_a_dict_says(model: ModelServer, redis: RedisServer) -> None:
    """Whatever happens in whatever order: each turn once, dense, answered the same, the window its newest part."""
    run_state_machine_as_test(
        lambda: Sessions(model, redis),  # type: ignore[arg-type]  # any factory does
        settings=settings(
            max_examples=300 if SLOW else 12,
            stateful_step_count=40 if SLOW else 20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


class Sessions(RuleBasedStateMachine):
    """The application beside a dict of lists of (turn id, message, reply)."""

    def __init__(self, model: ModelServer, redis: RedisServer) -> None:
        """Begin with nothing anywhere."""
        super().__init__()
        model.reset()
        redis.reset()
        self.model, self.redis = model, redis
        self.cosmos = LocalCosmos.open(None, CONTAINERS)
        self.runner = asyncio.Runner()
        self.life = running(self.cosmos, model, redis_socket=str(redis.socket))
        self.app: Keepsake = self.runner.run(self.life.__aenter__())
        self.expected: dict[str, list[tuple[str, str, str]]] = {}
        self.snapshot: dict[str, dict[str, str]] = {}

    @rule(session=SESSIONS, turn=TURNS, body=BODIES)
    def send(self, session: str, turn: str, body: str) -> None:
        """A turn is new, replayed, or in conflict with what its id was used for."""
        told = self.runner.run(self.app.chat(body, session_id=session, turn_id=turn))
        turns = self.expected.setdefault(session, [])
        known = next((known for known in turns if known[0] == turn), None)
        if known is None:
            answer = told.json()
            assert (answer["seq"], answer["replayed"]) == (len(turns) + 1, False)
            assert f"I was given {2 * min(10, len(turns))} earlier" in answer["reply"]
            turns.append((turn, body, answer["reply"]))
        elif known[1] == body:
            assert (told.json()["reply"], told.json()["replayed"]) == (known[2], True)
        else:
            assert told.status_code == 409

    @rule(
        session=SESSIONS, turn=TURNS, body=BODIES, dies_at=st.integers(1, 8), applied=st.booleans()
    )
    def send_and_die(self, session: str, turn: str, body: str, dies_at: int, applied: bool) -> None:  # noqa: FBT001
        """A worker dies somewhere in a turn: the turn is stored whole or not at all."""
        self.runner.run(
            self._send_and_die(session, turn, body, Countdown(dies_at, applied=applied))
        )
        self.redis.end_leases()
        stored = self._transcript(session)
        before = self.expected.get(session, [])
        assert stored[: len(before)] == before
        assert [known[0] for known in stored[len(before) :]] in ([], [turn])
        self.expected[session] = stored

    @rule(session=SESSIONS)
    def delete(self, session: str) -> None:
        """A deleted session is gone; its id begins anew."""
        self.runner.run(self._delete(session))
        self.expected.pop(session, None)

    @rule()
    def forget_everything_cached(self) -> None:
        """Redis loses all it has."""
        with self.redis.client() as client:
            client.flushall()

    @rule()
    def remember_the_cache(self) -> None:
        """A replica is left behind here."""
        with self.redis.client() as client:
            self.snapshot = {key: client.hgetall(key) for key in client.keys("session:*")}

    @rule()
    def fail_over_to_the_past(self) -> None:
        """The replica left behind takes over."""
        with self.redis.client() as client:
            client.flushall()
            for key, fields in self.snapshot.items():
                client.hset(key, mapping=fields)
        self.redis.end_leases()

    @rule(session=SESSIONS, turn=TURNS, body=BODIES)
    def send_without_redis(self, session: str, turn: str, body: str) -> None:
        """Redis is down for one turn; what it held is gone when it is back."""
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
        """Every transcript is the dict's list, numbered densely."""
        for session in ("a", "b"):
            assert self._transcript(session) == self.expected.get(session, [])

    def teardown(self) -> None:
        """Close everything."""
        self.runner.run(self.life.__aexit__(None, None, None))
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

    async def _send_and_die(self, session: str, turn: str, body: str, life: Countdown) -> None:
        def mortal(inner: Any) -> MortalTransport:
            return MortalTransport(inner, life)

        async with running(
            self.cosmos, self.model, wrap=mortal, redis_socket=str(self.redis.socket)
        ) as dying:
            services = await dying.composition.services()
            try:
                await services.conversation.ask(ADA, a_question(session, turn, body))
            except (ProcessDied, KeepsakeError):
                return
