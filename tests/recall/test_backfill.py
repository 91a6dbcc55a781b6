"""Backfill: turns without a vector get theirs when their session is consolidated."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from cosmos_local import LocalCosmos
from local.model import Behaviour, compose_vector
from shared.domain.ids import TurnId, UserId
from shared.domain.sessions import Header
from shared.domain.vectors import Vector, make_vector
from shared.ports.search import TurnWithoutVector
from shared.services.recall.backfill import BATCHES, VectorBackfill
from tests.conftest import Rows
from tests.support.app import Keepsake, running
from tests.support.build import ADA, NOON, a_header
from tests.support.model_server import ModelServer
from tests.support.rows import create_items

pytestmark = pytest.mark.anyio

BIKE = "My racing bicycle is painted turquoise"
DOWN = Behaviour(status=503, body="{}")
IDLE = 31 * 60


@pytest.fixture
async def keepsake(cosmos: LocalCosmos, model: ModelServer) -> AsyncIterator[Keepsake]:
    """The application with an embedding model."""
    async with running(cosmos, model, embedding_model="scripted", summariser="extractive") as app:
        yield app


async def record(keepsake: Keepsake, number: int, text: str = BIKE) -> None:
    """Record a turn that was answered elsewhere."""
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "I see"}]
    async with keepsake.client() as client:
        answer = await client.put(f"/sessions/s/turns/t{number}", json={"messages": messages})
    assert answer.status_code == 201


async def consolidate(keepsake: Keepsake) -> int:
    """Consolidate now; returns the status code."""
    async with keepsake.client() as client:
        return (await client.post("/sessions/s/consolidate")).status_code


class EndlessSession:
    """A session in which every batch that gets its vectors is followed by another one."""

    def __init__(self) -> None:
        """Start with no vectors."""
        self.vector_count = 0

    async def find_unembedded(
        self, user: UserId, header: Header, model: str, after_seq: int
    ) -> Sequence[TurnWithoutVector]:
        """Return one more turn."""
        del user, header, model, after_seq
        return [TurnWithoutVector(TurnId(f"t{self.vector_count}"), "text", NOON, None)]

    async def add_vectors(
        self, user: UserId, header: Header, vectors: Mapping[TurnWithoutVector, Vector]
    ) -> bool:
        """Count the vectors."""
        del user, header
        self.vector_count += len(vectors)
        return True


class ConstantEmbedder:
    """An embedding model that returns the same vector for every text."""

    model = "m"

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return the same vector for each."""
        return [make_vector(self.model, [1.0]) for _ in texts]


@asynccontextmanager
async def during_embedding(keepsake: Keepsake, model: ModelServer) -> AsyncIterator[None]:
    """Run the block while a consolidation waits for its vectors; it may find the session gone."""
    model.embedding_script.append(Behaviour(delay=0.5))
    task = asyncio.create_task(consolidate(keepsake))
    await model.wait_for_embedding_requests(1)
    yield
    assert await task in {200, 409}


async def test_a_recorded_turn_gets_its_vector_f23(
    keepsake: Keepsake, cosmos_rows: Rows, model: ModelServer
) -> None:
    """The vector is made of the question without the reply, as for turns answered here."""
    await record(keepsake, 1)
    before = cosmos_rows("turn")[0]
    assert await consolidate(keepsake) == 200
    after = cosmos_rows("turn")[0]
    assert ("embedding" in before, len(after["embedding"]), after["embedding_model"]) == (
        False,
        512,
        "scripted",
    )
    assert model.embedding_requests[0]["input"] == [
        before["text"].removesuffix("\nassistant: I see")
    ]
    unchanged = [
        name for name in before if not name.startswith("_") and name not in {"ttl", "usage"}
    ]
    assert [after[name] for name in unchanged] == [before[name] for name in unchanged]


@pytest.mark.parametrize(
    ("models", "off_by"),
    [(("scripted",), 0), (("scripted", "another"), 1), (("scripted", "another", "scripted"), 1)],
)
async def test_usage_counts_the_bytes_of_vectors(
    cosmos: LocalCosmos, model: ModelServer, cosmos_rows: Rows, models: tuple[str, ...], off_by: int
) -> None:
    """Usage equals what is stored after any backfills, except for the lengths of model names."""
    async with running(cosmos, model) as app:
        await record(app, 1)
    for name in models:
        async with running(cosmos, model, embedding_model=name) as app:
            assert await consolidate(app) == 200
            reported = (await app.get("/user/usage"))["stored"]["bytes"]
    (turn,) = cosmos_rows("turn")
    own = {name: value for name, value in turn.items() if not name.startswith("_")}
    own["embedding"] = list(map(float, own["embedding"]))  # as sent; a store may return 0 for 0.0
    own["usage"] = {name: value for name, value in turn["usage"].items() if name != "bytes"}
    stored = len(json.dumps(own, ensure_ascii=False, separators=(",", ":")).encode())
    assert abs(reported - stored) <= off_by


async def test_a_backfilled_turn_expires_on_time_f23(
    keepsake: Keepsake, cosmos: LocalCosmos, live_rows: Rows
) -> None:
    """Adding a vector does not restart the time to live."""
    await record(keepsake, 1)
    cosmos.clock.advance(80 * 86_400)
    assert await consolidate(keepsake) == 200
    cosmos.clock.advance(11 * 86_400)
    assert live_rows("turn") == []


async def test_each_turn_gets_its_own_vector_f23(keepsake: Keepsake, cosmos_rows: Rows) -> None:
    """Each turn gets the vector of its own text."""
    texts = [BIKE, "Herons nest beside silent lakes", "Explain frescoes upon damp plaster"]
    for number, text in enumerate(texts):
        await record(keepsake, number, text)
    assert await consolidate(keepsake) == 200
    texts_by_turn = {row["turn_id"]: row["text"].split("\n")[0] for row in cosmos_rows("turn")}
    expected = {
        turn: make_vector("scripted", compose_vector(text, 512)).numbers
        for turn, text in texts_by_turn.items()
    }
    assert {row["turn_id"]: tuple(row["embedding"]) for row in cosmos_rows("turn")} == expected


async def test_a_run_is_limited_in_batches_f23() -> None:
    """If a run leaves turns without a vector it says so, and the session is queued again."""
    store = EndlessSession()
    assert await VectorBackfill(store, ConstantEmbedder()).fill(ADA, a_header(), 0) is False
    assert store.vector_count == BATCHES


async def test_vectors_are_added_in_batches_f23(
    keepsake: Keepsake, cosmos_rows: Rows, model: ModelServer
) -> None:
    """Thirty-two texts per call, until all have vectors; a second run has nothing to do."""
    for number in range(70):
        await record(keepsake, number, f"{BIKE} {number}")
    assert await consolidate(keepsake) == 200
    assert [len(request["input"]) for request in model.embedding_requests] == [32, 32, 6]
    assert all("embedding" in row for row in cosmos_rows("turn"))
    assert await consolidate(keepsake) == 200
    assert len(model.embedding_requests) == 3


async def test_without_the_embedding_model_backfill_is_due_in_an_hour_f23(
    keepsake: Keepsake, cosmos: LocalCosmos, cosmos_rows: Rows, model: ModelServer
) -> None:
    """The summary is stored, keywords find the turn, and the vector follows an hour later."""
    await record(keepsake, 1)
    model.embedding_script.append(DOWN)
    cosmos.clock.advance(IDLE)
    await keepsake.run_timers()
    header = cosmos_rows("session")[0]
    assert (header["consolidated_seq"], header["due_at"] is not None, header["dead_lettered"]) == (
        1,
        True,
        None,
    )
    found = (await keepsake.chat("bicycle", session_id="other")).json()["context"]
    assert "recalled_turns" in [entry["section"] for entry in found]
    cosmos.clock.advance(3601)
    await keepsake.run_timers()
    assert "embedding" in cosmos_rows("turn")[0]
    assert cosmos_rows("session")[0]["due_at"] is None


async def test_new_turns_do_not_hide_those_without_vectors_f23(
    keepsake: Keepsake, cosmos_rows: Rows, model: ModelServer
) -> None:
    """A new turn does not hide older ones that still wait for a vector."""
    await record(keepsake, 1)
    model.embedding_script.append(DOWN)
    assert await consolidate(keepsake) == 200
    await record(keepsake, 2)
    assert cosmos_rows("session")[0]["vectors_from"] == 1
    assert await consolidate(keepsake) == 200
    assert ["embedding" in row for row in cosmos_rows("turn")] == [True, True]
    assert cosmos_rows("session")[0]["vectors_from"] is None


async def test_old_vectors_are_checked_only_without_new_turns(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer, cosmos_rows: Rows
) -> None:
    """With new turns, old vectors are not checked; without, another model's are replaced."""
    async with running(cosmos, model, embedding_model="old") as app:
        await record(app, 1)
        assert await consolidate(app) == 200
    await record(keepsake, 2)
    assert await consolidate(keepsake) == 200
    models = {row["turn_id"]: row["embedding_model"] for row in cosmos_rows("turn")}
    assert models == {"t1": "old", "t2": "scripted"}
    assert await consolidate(keepsake) == 200
    assert {row["embedding_model"] for row in cosmos_rows("turn")} == {"scripted"}


async def test_backfill_is_retried_hourly_until_the_model_is_back_f23(
    keepsake: Keepsake, cosmos: LocalCosmos, cosmos_rows: Rows, model: ModelServer
) -> None:
    """The outage of the embedding model does not count as a failure of the session."""
    await record(keepsake, 1)
    model.embedding_script.extend([DOWN] * 6)
    cosmos.clock.advance(IDLE)
    for _ in range(7):
        await keepsake.run_timers()
        cosmos.clock.advance(3601)
    assert "embedding" in cosmos_rows("turn")[0]
    (header,) = cosmos_rows("session")
    assert (len(model.embedding_requests), header["attempts"], header["due_at"]) == (7, 0, None)


async def test_a_turn_that_cannot_take_a_vector_is_tried_rarely_f24(
    keepsake: Keepsake, cosmos: LocalCosmos, cosmos_rows: Rows, model: ModelServer
) -> None:
    """A damaged turn is tried three times an hour, not at the rate of the queue."""
    await record(keepsake, 1)
    (whole,) = cosmos_rows("turn")
    await create_items(cosmos, "ada", [whole | {"id": "t:damaged", "turn_id": "damaged"}])
    cosmos.clock.advance(IDLE)
    async with asyncio.timeout(20):
        await keepsake.run_timers()
    assert len(model.embedding_requests) == 3
    assert cosmos_rows("session")[0]["due_at"] is not None


async def test_with_memory_off_nothing_is_backfilled(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """With memory off, nothing is sent to the embedding model."""
    await record(keepsake, 1)
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
    cosmos.clock.advance(IDLE)
    await keepsake.run_timers()
    assert model.embedding_requests == []


async def test_vectors_converge_to_the_current_model_f47(
    cosmos: LocalCosmos, model: ModelServer, cosmos_rows: Rows
) -> None:
    """After consolidation, a session's turns have vectors of the current model."""
    async with running(cosmos, model, embedding_model="old") as app:
        await app.chat(BIKE)
    async with running(cosmos, model, embedding_model="new", summariser="extractive") as app:
        assert await consolidate(app) == 200
        answer = (await app.chat("Bicyclists often repaint their frames", session_id="b")).json()
    assert cosmos_rows("turn")[0]["embedding_model"] == "new"
    assert [entry["why"] for entry in answer["context"]][-1] == "found by meaning (rank 1)"


async def test_a_session_deleted_during_backfill_stays_deleted(
    keepsake: Keepsake, cosmos_rows: Rows, model: ModelServer
) -> None:
    """A late vector does not bring a deleted turn back."""
    await record(keepsake, 1)
    async with keepsake.client() as client, during_embedding(keepsake, model):
        assert (await client.delete("/sessions/s")).status_code == 204
    assert cosmos_rows("turn") == []


async def test_a_time_to_live_shortened_during_backfill_holds(
    keepsake: Keepsake, cosmos: LocalCosmos, live_rows: Rows, model: ModelServer
) -> None:
    """A late vector does not extend a time to live that was shortened meanwhile."""
    await record(keepsake, 1)
    async with keepsake.client() as client, during_embedding(keepsake, model):
        assert (await client.patch("/sessions/s", json={"ttl_seconds": 120})).status_code == 200
    assert [len(row["embedding"]) for row in live_rows("turn")] == [512]
    cosmos.clock.advance(121)
    assert live_rows("turn") == []
