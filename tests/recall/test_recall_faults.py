"""Faults of recall: the turn is answered without what is unavailable, slow, damaged or erased."""

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from cosmos_local.faults import Fault
from local.model import Behaviour
from shared.domain.deadlines import Deadlines
from shared.services.turns.admission import WORK
from tests.conftest import Rows
from tests.support.app import Keepsake, running
from tests.support.model_server import REFUSAL, ModelServer
from tests.support.recall import ASKED, BIKE, recalled
from tests.support.rows import bump_epoch, create_items, replace_item

pytestmark = pytest.mark.anyio


@pytest.fixture
def embedding_model() -> str:
    """With vectors."""
    return "scripted"


def vectors(*indexed: tuple[int, Sequence[object]]) -> Behaviour:
    """A response of the embedding model with these indexes and vectors."""
    data = [{"index": index, "embedding": numbers} for index, numbers in indexed]
    return Behaviour(body=json.dumps({"data": data}))


async def test_keyword_hits_without_vectors_are_not_chance_hits_f23(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Turns without a vector cannot be compared by meaning, so all their keyword matches count."""
    for number in range(3):
        model.embedding_script.append(Behaviour(status=503, body="{}"))
        await keepsake.chat(f"{BIKE}, number {number}", session_id=f"s{number}")
    await keepsake.chat("Herons nest beside silent lakes", session_id="other")
    unrelated = (
        "Explain how Renaissance masters painted frescoes upon damp plaster inside Tuscan chapels"
    )
    assert len(recalled((await keepsake.chat(unrelated)).json())) == 3


async def test_nothing_from_before_an_erase_is_recalled_f37(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Whatever an erase has not deleted yet has an older epoch."""
    await keepsake.chat(BIKE, session_id="monday")
    await bump_epoch(cosmos, "ada")
    answer = (await keepsake.chat(ASKED, session_id="tuesday")).json()
    assert (recalled(answer), answer["degraded"]) == ([], [])


async def test_expired_turns_are_not_recalled_f26(
    keepsake: Keepsake, cosmos: LocalCosmos, cosmos_rows: Rows
) -> None:
    """The turn's own expiry decides, even if the store still returns it, as hit or neighbour."""
    for text in (BIKE, f"{BIKE} too", "Well"):
        await keepsake.chat(text, session_id="monday")
    for row in cosmos_rows("turn"):
        expires_at = row["expires_at"] if row["seq"] == 2 else row["created_at"]
        await replace_item(cosmos, row | {"expires_at": expires_at})
    (found,) = recalled((await keepsake.chat(ASKED, session_id="tuesday")).json())
    assert (f"{BIKE} too" in found["text"], found["text"].count("user: ")) == (True, 1)


async def test_a_refused_message_is_never_recalled(
    keepsake: Keepsake, model: ModelServer, cosmos_rows: Rows
) -> None:
    """A refused turn is neither hit nor neighbour and gets no vector: it would fail again."""
    model.script.extend([Behaviour(), REFUSAL, REFUSAL, Behaviour()])
    for text, turn_id in ((BIKE, "bike"), (f"{BIKE} and stolen", "refused"), ("Well", "well")):
        await keepsake.chat(text, session_id="monday", turn_id=turn_id)
    async with keepsake.client() as client:
        assert (await client.post("/sessions/monday/consolidate")).status_code == 200
    found = recalled((await keepsake.chat(ASKED, session_id="tuesday")).json())
    assert [entry["id"] for entry in found] == ["bike"]
    assert "stolen" not in found[0]["text"]
    (refused,) = (row for row in cosmos_rows("turn") if row["turn_id"] == "refused")
    assert {"text", "embedding"} & refused.keys() == set()


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(status=429, body="{}"),
        Behaviour(status=500, body="{}"),
        Behaviour(body="<html>"),
        vectors(),
        vectors((0, [0.5])),
        vectors((0, []), (1, [0, 0])),
        vectors((0, ["x"]), (1, [1])),
        vectors((0, [math.nan]), (1, [math.nan])),
        vectors((0, [1]), (1, [1, math.inf])),
        vectors((0, [1]), (0, [1])),
        vectors((-1, [1]), (0, [1])),
        vectors((0, [1] * 513), (1, [1])),
        Behaviour(body="[" * 100_000),
        Behaviour(delay=0.6),
    ],
    ids=[
        "429",
        "500",
        "html",
        "none",
        "too few",
        "zero vector",
        "strings",
        "nan",
        "infinity",
        "duplicate index",
        "negative index",
        "513",
        "deeply nested",
        "late",
    ],
)
@pytest.mark.parametrize("deadlines", [Deadlines(recall=20)])
async def test_without_a_query_vector_keywords_find_the_turn_f23(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour
) -> None:
    """With the embedding model down, slow or broken, recall uses keywords and is flagged."""
    await keepsake.chat(BIKE, session_id="monday")
    model.embedding_script.append(behaviour)
    answer = (await keepsake.chat(ASKED)).json()
    assert answer["degraded"] == ["recall_semantic"]
    assert [entry["why"] for entry in recalled(answer)] == ["found by keywords (rank 1)"]


async def test_vectors_may_arrive_in_any_order_and_without_usage(
    keepsake: Keepsake, model: ModelServer, cosmos_rows: Rows
) -> None:
    """The index in the response assigns vectors to texts; a missing token count is zero."""
    data = [{"index": 1, "embedding": [0, 2]}, {"index": 0, "embedding": [3]}]
    model.embedding_script.append(Behaviour(body=json.dumps({"data": data, "usage": None})))
    answer = (await keepsake.chat(BIKE)).json()
    assert (answer["degraded"], answer["usage"]["embedding_tokens"]) == ([], 0)
    assert cosmos_rows("turn")[0]["embedding"][:3] == [0, 1, 0]


@pytest.mark.parametrize("letter", ["x", "\u1000", "\U0001f600"], ids=["latin", "burmese", "emoji"])
async def test_only_the_start_of_a_long_message_is_embedded(
    keepsake: Keepsake, model: ModelServer, letter: str
) -> None:
    """Inputs stay below the model's limit in any script: a token has at least one byte."""
    message = f"racing bicycle {letter * 8000}"
    answer = (await keepsake.chat(message)).json()
    inputs = model.embedding_requests[0]["input"]
    assert answer["degraded"] == []
    assert all("racing bicycle" in text for text in inputs)
    assert max(len(text.encode()) for text in inputs) <= 8000


@pytest.mark.parametrize("deadlines", [Deadlines(recall=20)])
async def test_a_late_vector_is_still_stored(
    keepsake: Keepsake, model: ModelServer, cosmos_rows: Rows
) -> None:
    """A vector that is too late for the search is stored with the turn."""
    model.embedding_script.append(Behaviour(delay=0.5))
    model.slow_next(1.5)
    answer = (await keepsake.chat(BIKE)).json()
    assert (answer["degraded"], len(cosmos_rows("turn")[0]["embedding"])) == (
        ["recall_semantic"],
        512,
    )


@pytest.mark.parametrize(
    "fault", [{"status": 429, "retry_after_ms": 5000}, {"status": 400}, {"delay": 2.0}], ids=str
)
@pytest.mark.parametrize("deadlines", [Deadlines(embedding=20)])
async def test_a_failed_search_does_not_fail_the_turn(
    keepsake: Keepsake, cosmos: LocalCosmos, fault: dict[str, Any]
) -> None:
    """If queries are throttled, refused or slow, the turn is answered without them and flagged."""
    await keepsake.chat(BIKE, session_id="monday")
    cosmos.faults.add(
        Fault(kind="query", times=99, match=lambda request: b"@word0" in request.body, **fault)
    )
    cosmos.faults.add(
        Fault(kind="query", times=99, match=lambda request: b"@vector" in request.body, **fault)
    )
    response = await keepsake.chat(ASKED, session_id="tuesday")
    answer = response.json()
    assert (response.status_code, answer["degraded"], recalled(answer)) == (200, ["recall"], [])


@pytest.mark.parametrize("fault", [{"status": 503}, {"delay": 2.0}], ids=str)
@pytest.mark.parametrize("deadlines", [Deadlines(embedding=20)])
async def test_neighbours_are_optional(
    keepsake: Keepsake, cosmos: LocalCosmos, fault: dict[str, Any]
) -> None:
    """If neighbours cannot be read in time, hits come without them and the turn is flagged."""
    await keepsake.chat(BIKE, session_id="monday")
    await keepsake.chat("Well", session_id="monday")
    cosmos.faults.add(
        Fault(kind="query", times=99, match=lambda request: b"@gen0" in request.body, **fault)
    )
    answer = (await keepsake.chat(ASKED, session_id="tuesday")).json()
    (found,) = recalled(answer)
    assert (answer["degraded"], BIKE in found["text"], "Well" in found["text"]) == (
        ["recall"],
        True,
        False,
    )


@pytest.mark.parametrize(
    ("seq", "found"),
    [(9, []), (2, ["found by keywords (rank 1), meaning (rank 1)"])],
    ids=["hit", "neighbour"],
)
async def test_a_damaged_turn_does_not_fail_other_turns(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    cosmos_rows: Rows,
    caplog: pytest.LogCaptureFixture,
    seq: int,
    found: list[str],
) -> None:
    """An unreadable hit or neighbour is left out, flagged, and logged for operators."""
    await keepsake.chat(BIKE, session_id="monday")
    whole = cosmos_rows("turn")[0]
    damaged = {
        name: value
        for name, value in whole.items()
        if name != "expires_at" and not name.startswith("_")
    }
    if found:
        damaged = {name: damaged[name] for name in damaged if name != "embedding_model"} | {
            "text": "Well"
        }
    await create_items(cosmos, "ada", [damaged | {"id": "t:damaged", "seq": seq}])
    response = await keepsake.chat(ASKED, session_id="tuesday")
    answer = response.json()
    assert (response.status_code, answer["degraded"]) == (200, ["recall"])
    assert [entry["why"] for entry in recalled(answer)] == found
    assert "recall_failed error=KeyError" in caplog.text


async def test_disconnecting_during_a_search_leaks_nothing(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Cancelled searches free their slots and leases: the same turns sent again recall as usual."""
    await keepsake.chat(BIKE, session_id="monday")
    cosmos.faults.add(
        Fault(kind="query", times=99, delay=0.6, match=lambda request: b"@word0" in request.body)
    )
    before = asyncio.all_tasks()
    model.embedding_requests.clear()
    model.embedding_script.extend([Behaviour(delay=2.0)] * WORK.alone)
    turns = [
        asyncio.create_task(keepsake.chat(ASKED, session_id=f"s{n}", turn_id="t"))
        for n in range(WORK.alone)
    ]
    await model.wait_for_embedding_requests(WORK.alone)
    for turn in turns:
        turn.cancel()
    await asyncio.gather(*turns, return_exceptions=True)
    cosmos.faults.clear()
    # others may have been answered
    cancelled = next(number for number, turn in enumerate(turns) if turn.cancelled())
    answer = (await keepsake.chat(ASKED, session_id=f"s{cancelled}", turn_id="t")).json()
    assert (answer["degraded"], len(recalled(answer))) == ([], 1)
    await (await keepsake.composition.services()).counter.close()  # it would wait for a minute
    remaining = asyncio.all_tasks() - before
    assert not remaining or (await asyncio.wait(remaining, timeout=10))[1] == set()


async def test_vectors_of_another_model_are_never_compared_f47(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """After a change of the embedding model, earlier turns are found by keywords."""
    async with running(cosmos, model, embedding_model="old") as app:
        await app.chat(BIKE, session_id="monday")
    async with running(cosmos, model, embedding_model="new") as app:
        by_keywords = recalled((await app.chat(ASKED, session_id="a")).json())
        by_meaning = recalled(
            (await app.chat("Bicyclists often repaint their frames", session_id="b")).json()
        )
    assert [entry["why"] for entry in by_keywords] == ["found by keywords (rank 1)"]
    assert by_meaning == []


async def test_a_turn_found_at_its_commit_is_a_replay(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Of two concurrent sends without a lease, the replayed one reports no degraded search."""
    async with running(cosmos, model, embedding_model="scripted") as keepsake:
        await keepsake.chat(BIKE, session_id="monday")
        model.embedding_script.extend([Behaviour(status=503, body="{}")] * 2)
        model.script.extend([Behaviour(delay=0.3)] * 2)
        answers = await asyncio.gather(
            *(keepsake.chat(ASKED, session_id="tuesday", turn_id="t") for _ in range(2))
        )
    first, again = sorted(
        (answer.json() for answer in answers), key=lambda answer: answer["replayed"]
    )
    assert (first["replayed"], first["degraded"], len(first["context"])) == (
        False,
        ["recall_semantic"],
        1,
    )
    assert (again["replayed"], again["degraded"], again["context"]) == (True, [], [])
