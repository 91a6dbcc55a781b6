"""Recall where something is away, slow, damaged, erased or said to nobody: it goes without, and the turn goes on."""

import asyncio
import json
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from cosmos_local.faults import Fault
from local.model import Behaviour
from shared.services import recall
from shared.services.recall import MAX_SEARCHES
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


@pytest.fixture
def _searches_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "RECALL_SECONDS", 0.8)


@pytest.fixture
def _vectors_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "EMBEDDING_SECONDS", 0.3)


async def test_what_lacks_a_vector_is_not_by_chance_f23(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Said while the embedding model was down, turns are found by their words, whatever they would mean."""
    for number in range(3):
        model.embedding_script.append(Behaviour(status=503, body="{}"))
        await keepsake.chat(f"{BIKE}, number {number}", session_id=f"s{number}")
    await keepsake.chat("Herons nest beside silent lakes", session_id="other")
    unlike = (
        "Explain how Renaissance masters painted frescoes upon damp plaster inside Tuscan chapels"
    )
    assert len(recalled((await keepsake.chat(unlike)).json())) == 3


async def test_nothing_from_before_an_erase_is_recalled_f37(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """What an erase has not reached yet has the epoch before it."""
    await keepsake.chat(BIKE, session_id="monday")
    await bump_epoch(cosmos, "ada")
    answer = (await keepsake.chat(ASKED, session_id="tuesday")).json()
    assert (recalled(answer), answer["degraded"]) == ([], [])


async def test_what_has_expired_is_not_recalled_f26(
    keepsake: Keepsake, cosmos: LocalCosmos, cosmos_rows: Rows
) -> None:
    """Its own time decides, also where the store still has it: as a hit, and beside one."""
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
    """Told again it would be refused again, with whatever was asked: not as a hit, not beside one, by no vector."""
    model.script.extend([Behaviour(), REFUSAL, Behaviour()])
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
        Behaviour(body='{"data": []}'),
        Behaviour(body='{"data": [{"index": 0, "embedding": [0.5]}]}'),
        Behaviour(body='{"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": [0, 0]}]}'),
        Behaviour(body='{"data": [{"index": 0, "embedding": ["x"]}, {"index": 1, "embedding": [1]}]}'),
        Behaviour(body='{"data": [{"index": 0, "embedding": [NaN]}, {"index": 1, "embedding": [NaN]}]}'),
        Behaviour(body='{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, Infinity]}]}'),
        Behaviour(body='{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}'),
        Behaviour(body='{"data": [{"index": -1, "embedding": [1]}, {"index": 0, "embedding": [1]}]}'),
        Behaviour(body=f'{{"data": [{{"index": 0, "embedding": {[1] * 513}}}, {{"index": 1, "embedding": [1]}}]}}'),
        Behaviour(body="[" * 100_000),
        Behaviour(delay=0.6),
    ],
    ids=[
        "429", "500", "html", "none", "too few", "no direction", "no numbers",
        "not a number", "endless", "twice", "negative", "513", "deep", "late",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("_vectors_hurry")
async def test_without_a_vector_words_still_find_it_f23(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour
) -> None:
    """The embedding model down, slow or talking nonsense: answered, flagged, found by words."""
    await keepsake.chat(BIKE, session_id="monday")
    model.embedding_script.append(behaviour)
    answer = (await keepsake.chat(ASKED)).json()
    assert answer["degraded"] == ["recall_semantic"]
    assert [entry["why"] for entry in recalled(answer)] == ["found by words (rank 1)"]


async def test_vectors_come_in_any_order_and_uncounted(
    keepsake: Keepsake, model: ModelServer, cosmos_rows: Rows
) -> None:
    """Each says which text it is of; who does not count tokens has used none."""
    data = [{"index": 1, "embedding": [0, 2]}, {"index": 0, "embedding": [3]}]
    model.embedding_script.append(Behaviour(body=json.dumps({"data": data, "usage": None})))
    answer = (await keepsake.chat(BIKE)).json()
    assert (answer["degraded"], answer["usage"]["embedding_tokens"]) == ([], 0)
    assert cosmos_rows("turn")[0]["embedding"][:3] == [0, 1, 0]


@pytest.mark.parametrize("letter", ["x", "\u1000", "\U0001f600"], ids=["latin", "burmese", "emoji"])
async def test_of_a_long_message_the_beginning_has_the_vector(
    keepsake: Keepsake, model: ModelServer, letter: str
) -> None:
    """No text is longer than embedding models take, whatever its script: a token is at least one byte."""
    message = f"racing bicycle {letter * 8000}"
    answer = (await keepsake.chat(message)).json()
    given = model.embedding_requests[0]["input"]
    assert answer["degraded"] == []
    assert all("racing bicycle" in text for text in given)
    assert max(len(text.encode()) for text in given) <= 8000


@pytest.mark.usefixtures("_vectors_hurry")
async def test_a_vector_that_comes_late_is_still_stored(
    keepsake: Keepsake, model: ModelServer, cosmos_rows: Rows
) -> None:
    """Too late for the question, early enough for the turn."""
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
@pytest.mark.usefixtures("_searches_hurry")
async def test_a_search_that_fails_leaves_the_turn_alone(
    keepsake: Keepsake, cosmos: LocalCosmos, fault: dict[str, Any]
) -> None:
    """Queries throttled, refused or slow: answered without what they would have found, and it says so."""
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
@pytest.mark.usefixtures("_searches_hurry")
async def test_what_stands_beside_may_be_missing(
    keepsake: Keepsake, cosmos: LocalCosmos, fault: dict[str, Any]
) -> None:
    """What was found is told without its neighbours, if they cannot be read in time, and it says so."""
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
    [(9, []), (2, ["found by words (rank 1), meaning (rank 1)"])],
    ids=["hit", "beside"],
)
async def test_a_damaged_turn_costs_its_user_no_turn(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    cosmos_rows: Rows,
    caplog: pytest.LogCaptureFixture,
    seq: int,
    found: list[str],
) -> None:
    """What cannot be read, as a hit or beside one, is done without, and it says so, to operators too."""
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


async def test_callers_who_leave_while_it_searches_take_nothing_along(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Their searches end, their places and leases are given back: the same turns sent again recall as ever."""
    await keepsake.chat(BIKE, session_id="monday")
    cosmos.faults.add(
        Fault(kind="query", times=99, delay=0.6, match=lambda request: b"@word0" in request.body)
    )
    before = asyncio.all_tasks()
    model.embedding_requests.clear()
    model.embedding_script.extend([Behaviour(delay=2.0)] * MAX_SEARCHES)
    turns = [
        asyncio.create_task(keepsake.chat(ASKED, session_id=f"s{n}", turn_id="t"))
        for n in range(MAX_SEARCHES)
    ]
    await model.wait_for_embedding_requests(MAX_SEARCHES)
    for turn in turns:
        turn.cancel()
    await asyncio.gather(*turns, return_exceptions=True)
    cosmos.faults.clear()
    left = next(
        number for number, turn in enumerate(turns) if turn.cancelled()
    )  # others may have been answered
    answer = (await keepsake.chat(ASKED, session_id=f"s{left}", turn_id="t")).json()
    assert (answer["degraded"], len(recalled(answer))) == ([], 1)
    left_over = asyncio.all_tasks() - before
    assert not left_over or (await asyncio.wait(left_over, timeout=10))[1] == set()


async def test_vectors_of_another_model_are_never_compared_f47(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """After a change of model what was said before is found by its words."""
    async with running(cosmos, model, embedding_model="old") as app:
        await app.chat(BIKE, session_id="monday")
    async with running(cosmos, model, embedding_model="new") as app:
        by_words = recalled((await app.chat(ASKED, session_id="a")).json())
        by_meaning = recalled(
            (await app.chat("Bicyclists often repaint their frames", session_id="b")).json()
        )
    assert [entry["why"] for entry in by_words] == ["found by words (rank 1)"]
    assert by_meaning == []


async def test_a_turn_found_stored_at_its_commit_is_told_as_stored(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Sent twice at once, without a lease: the later answer says nothing of what was looked for in vain for it."""
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
