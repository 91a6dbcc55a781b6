"""Turns without a vector are found by their words, and get their vector when their session is consolidated."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from cosmos_local import LocalCosmos
from local.model import Behaviour, compose_vector
from shared.domain.ids import TurnId, UserId
from shared.domain.turns import Header
from shared.domain.vectors import Vector, make_vector
from shared.ports.vectors import Unembedded
from shared.services.missing_vectors import BATCHES, MissingVectors
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
    """Consolidate now; the status."""
    async with keepsake.client() as client:
        return (await client.post("/sessions/s/consolidate")).status_code


class EndlessTurns:
    """A session in which each batch that gets its vectors leaves another one without."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self.kept = 0

    async def find_unembedded(
        self, user: UserId, header: Header, model: str, after_seq: int
    ) -> Sequence[Unembedded]:
        """One more."""
        del user, header, model, after_seq
        return [Unembedded(TurnId(f"t{self.kept}"), "text", NOON, None)]

    async def keep_vectors(
        self, user: UserId, header: Header, vectors: Mapping[Unembedded, Vector]
    ) -> bool:
        """Count it."""
        del user, header
        self.kept += len(vectors)
        return True


class OneVector:
    """An embedding model to which all texts are one."""

    model = "m"

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """The same for each."""
        return [make_vector(self.model, [1.0]) for _ in texts]


@asynccontextmanager
async def embedding(keepsake: Keepsake, model: ModelServer) -> AsyncIterator[None]:
    """While a session that is consolidated waits for its vectors; it ends well, or finds the session gone."""
    model.embedding_script.append(Behaviour(delay=0.5))
    task = asyncio.create_task(consolidate(keepsake))
    await model.wait_for_embedding_requests(1)
    yield
    assert await task in {200, 409}


async def test_a_recorded_turn_gets_its_vector_f23(
    keepsake: Keepsake, cosmos_rows: Rows, model: ModelServer
) -> None:
    """Of what was asked, without the reply: as a turn that was answered here."""
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
    said = [name for name in before if not name.startswith("_") and name not in {"ttl", "usage"}]
    assert [after[name] for name in said] == [before[name] for name in said]


@pytest.mark.parametrize(
    ("models", "off_by"),
    [(("scripted",), 0), (("scripted", "another"), 1), (("scripted", "another", "scripted"), 1)],
)
async def test_a_user_s_bytes_are_those_with_vectors(
    cosmos: LocalCosmos, model: ModelServer, cosmos_rows: Rows, models: tuple[str, ...], off_by: int
) -> None:
    """However often a turn got one: what is told of it is what is stored, but for the lengths of models' names."""
    async with running(cosmos, model) as app:
        await record(app, 1)
    for name in models:
        async with running(cosmos, model, embedding_model=name) as app:
            assert await consolidate(app) == 200
            told = (await app.get("/user/usage"))["total"]["bytes"]
    (turn,) = cosmos_rows("turn")
    own = {name: value for name, value in turn.items() if not name.startswith("_")}
    own["usage"] = {name: value for name, value in turn["usage"].items() if name != "bytes"}
    stored = len(json.dumps(own, ensure_ascii=False, separators=(",", ":")).encode())
    assert abs(told - stored) <= off_by


async def test_a_turn_with_its_vector_lives_no_longer_f23(
    keepsake: Keepsake, cosmos: LocalCosmos, live_rows: Rows
) -> None:
    """Time to live counts from the last write: it is written anew."""
    await record(keepsake, 1)
    cosmos.clock.advance(80 * 86_400)
    assert await consolidate(keepsake) == 200
    cosmos.clock.advance(11 * 86_400)
    assert live_rows("turn") == []


async def test_each_turn_gets_its_own_vector_f23(keepsake: Keepsake, cosmos_rows: Rows) -> None:
    """Of several, each the one of its own text."""
    texts = [BIKE, "Herons nest beside silent lakes", "Explain frescoes upon damp plaster"]
    for number, text in enumerate(texts):
        await record(keepsake, number, text)
    assert await consolidate(keepsake) == 200
    asked = {row["turn_id"]: row["text"].split("\n")[0] for row in cosmos_rows("turn")}
    wanted = {
        turn: make_vector("scripted", compose_vector(text, 512)).numbers
        for turn, text in asked.items()
    }
    assert {row["turn_id"]: tuple(row["embedding"]) for row in cosmos_rows("turn")} == wanted


async def test_more_than_a_run_has_time_for_is_left_to_the_next_f23() -> None:
    """It says that something is left, and so the session is queued again."""
    store = EndlessTurns()
    assert await MissingVectors(store, OneVector()).fill(ADA, a_header(), 0) is False
    assert store.kept == BATCHES


async def test_many_go_in_batches_f23(
    keepsake: Keepsake, cosmos_rows: Rows, model: ModelServer
) -> None:
    """Thirty-two texts a call, until all have theirs; a second run has nothing to do."""
    for number in range(70):
        await record(keepsake, number, f"{BIKE} {number}")
    assert await consolidate(keepsake) == 200
    assert [len(request["input"]) for request in model.embedding_requests] == [32, 32, 6]
    assert all("embedding" in row for row in cosmos_rows("turn"))
    assert await consolidate(keepsake) == 200
    assert len(model.embedding_requests) == 3


async def test_without_the_model_they_are_due_again_in_an_hour_f23(
    keepsake: Keepsake, cosmos: LocalCosmos, cosmos_rows: Rows, model: ModelServer
) -> None:
    """The summary is there, words find the turn, nothing is parked; when the model is back the vector comes."""
    await record(keepsake, 1)
    model.embedding_script.append(DOWN)
    cosmos.clock.advance(IDLE)
    await keepsake.tick()
    header = cosmos_rows("session")[0]
    assert (header["consolidated_seq"], header["due_at"] is not None, header["parked"]) == (
        1,
        True,
        None,
    )
    found = (await keepsake.chat("bicycle", session_id="other")).json()["context"]
    assert "recalled_turns" in [entry["section"] for entry in found]
    cosmos.clock.advance(3601)
    await keepsake.tick()
    assert "embedding" in cosmos_rows("turn")[0]
    assert cosmos_rows("session")[0]["due_at"] is None


async def test_turns_said_meanwhile_do_not_hide_those_that_wait_f23(
    keepsake: Keepsake, cosmos_rows: Rows, model: ModelServer
) -> None:
    """A session that goes on is consolidated before the hour is over: what lacked its vector gets it then."""
    await record(keepsake, 1)
    model.embedding_script.append(DOWN)
    assert await consolidate(keepsake) == 200
    await record(keepsake, 2)
    assert cosmos_rows("session")[0]["vectors_from"] == 1
    assert await consolidate(keepsake) == 200
    assert ["embedding" in row for row in cosmos_rows("turn")] == [True, True]
    assert cosmos_rows("session")[0]["vectors_from"] is None


async def test_what_is_old_is_not_looked_at_when_there_is_something_new(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer, cosmos_rows: Rows
) -> None:
    """A long session costs no more: another model's vectors are replaced when nothing new was said."""
    async with running(cosmos, model, embedding_model="old") as app:
        await record(app, 1)
        assert await consolidate(app) == 200
    await record(keepsake, 2)
    assert await consolidate(keepsake) == 200
    models = {row["turn_id"]: row["embedding_model"] for row in cosmos_rows("turn")}
    assert models == {"t1": "old", "t2": "scripted"}
    assert await consolidate(keepsake) == 200
    assert {row["embedding_model"] for row in cosmos_rows("turn")} == {"scripted"}


async def test_it_is_asked_every_hour_until_it_is_back_f23(
    keepsake: Keepsake, cosmos: LocalCosmos, cosmos_rows: Rows, model: ModelServer
) -> None:
    """However long that is: nothing counts as a failure of the session."""
    await record(keepsake, 1)
    model.embedding_script.extend([DOWN] * 6)
    cosmos.clock.advance(IDLE)
    for _ in range(7):
        await keepsake.tick()
        cosmos.clock.advance(3601)
    assert "embedding" in cosmos_rows("turn")[0]
    (header,) = cosmos_rows("session")
    assert (len(model.embedding_requests), header["attempts"], header["due_at"]) == (7, 0, None)


async def test_a_turn_that_takes_no_vector_is_not_paid_for_again_and_again_f24(
    keepsake: Keepsake, cosmos: LocalCosmos, cosmos_rows: Rows, model: ModelServer
) -> None:
    """A damaged one is tried three times an hour, not as fast as the queue delivers."""
    await record(keepsake, 1)
    (whole,) = cosmos_rows("turn")
    await create_items(cosmos, "ada", [whole | {"id": "t:damaged", "turn_id": "damaged"}])
    cosmos.clock.advance(IDLE)
    async with asyncio.timeout(20):
        await keepsake.tick()
    assert len(model.embedding_requests) == 3
    assert cosmos_rows("session")[0]["due_at"] is not None


async def test_what_was_switched_off_gets_no_vector(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A user who wants nothing remembered: nothing is sent to the embedding model."""
    await record(keepsake, 1)
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
    cosmos.clock.advance(IDLE)
    await keepsake.tick()
    assert model.embedding_requests == []


async def test_a_changed_model_converges_f47(
    cosmos: LocalCosmos, model: ModelServer, cosmos_rows: Rows
) -> None:
    """Consolidated again, a session's turns have vectors of the model of today."""
    async with running(cosmos, model, embedding_model="old") as app:
        await app.chat(BIKE)
    async with running(cosmos, model, embedding_model="new", summariser="extractive") as app:
        assert await consolidate(app) == 200
        answer = (await app.chat("Bicyclists often repaint their frames", session_id="b")).json()
    assert cosmos_rows("turn")[0]["embedding_model"] == "new"
    assert [entry["why"] for entry in answer["context"]][-1] == "found by meaning (rank 1)"


async def test_a_session_deleted_meanwhile_stays_deleted(
    keepsake: Keepsake, cosmos_rows: Rows, model: ModelServer
) -> None:
    """A vector that comes late has no turn to go to."""
    await record(keepsake, 1)
    async with keepsake.client() as client, embedding(keepsake, model):
        assert (await client.delete("/sessions/s")).status_code == 204
    assert cosmos_rows("turn") == []


async def test_a_session_whose_life_is_shortened_meanwhile_ends_then(
    keepsake: Keepsake, cosmos: LocalCosmos, live_rows: Rows, model: ModelServer
) -> None:
    """A vector that comes late gives its turn back no time that was taken from it."""
    await record(keepsake, 1)
    async with keepsake.client() as client, embedding(keepsake, model):
        assert (await client.patch("/sessions/s", json={"ttl_seconds": 120})).status_code == 200
    assert [len(row["embedding"]) for row in live_rows("turn")] == [512]
    cosmos.clock.advance(121)
    assert live_rows("turn") == []
