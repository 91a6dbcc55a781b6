"""Whatever a model answers when it summarises: it is read, or the summary is extractive (F17)."""

import json
from typing import Any

import pytest

from local.model import Behaviour
from tests.support.app import Keepsake
from tests.support.model_server import ModelServer
from tests.support.model_shapes import whole

pytestmark = pytest.mark.anyio
ANSWER = {"title": "A cat", "summary": "Mina is a cat."}
TEXT = json.dumps(ANSWER)
READABLE = {
    "in a code fence": f"```json\n{TEXT}\n```",
    "after thinking": f"<think>{{}} Hm.</think>\n{TEXT}",
    "after other text": f"Here are the notes: {TEXT} Anything else?",
    "with more keys": json.dumps(ANSWER | {"language": "en", "notes": [1]}),
    "without a title": json.dumps({"summary": "Mina is a cat."}),
    "with odd types": json.dumps(ANSWER | {"title": 7}),
}
UNUSABLE = {
    "a refusal": [whole({"refusal": "I will not."})],
    "nothing within the limit": [whole({"content": None}, "length")],
    "prose twice": [Behaviour(text="Mina is a cat."), Behaviour(text="As I said.")],
    "cut off twice": [Behaviour(text='{"title": "A c', finish_reason="length")] * 2,
    "an empty summary twice": [Behaviour(text='{"title": "A", "summary": " "}')] * 2,
    "an array twice": [Behaviour(text="[]")] * 2,
}
UNSUPPORTED = {
    "400 that names it": Behaviour(
        status=400, body='{"error": {"message": "response_format is not supported"}}'
    ),
    "422 that names it": Behaviour(status=422, body='{"error": {"message": "json_schema: extra"}}'),
    "400 that names nothing": Behaviour(status=400, body='{"error": {"message": "bad request"}}'),
    "422 that is no JSON": Behaviour(status=422, body="Unprocessable"),
}


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """Summaries do not depend on a session cache."""
    return {}


async def summary_after(keepsake: Keepsake, model: ModelServer, *script: Behaviour) -> Any:
    """The summary of one turn that the model summarises like this."""
    await keepsake.chat("My cat is called Mina.")
    model.script.extend(script)
    async with keepsake.client() as client:
        answer = await client.post("/sessions/s/consolidate")
    assert answer.status_code == 200, answer.text
    assert answer.json()["consolidated_seq"] == 1
    return answer.json()["summary"]


@pytest.mark.parametrize("shape", READABLE)
async def test_an_answer_is_found_wherever_it_is_f17(
    keepsake: Keepsake, model: ModelServer, shape: str
) -> None:
    """Fences, thinking, prose around the object and additional keys do no harm."""
    summary = await summary_after(keepsake, model, Behaviour(text=READABLE[shape]))
    assert (summary["text"], summary["extractive"]) == ("Mina is a cat.", False)


async def test_texts_that_are_too_long_are_cut_f17(keepsake: Keepsake, model: ModelServer) -> None:
    """A model that ignores the limits is cut at a word, not asked again."""
    long = {"title": "cat " * 100, "summary": "Mina is a cat. " * 400}
    summary = await summary_after(keepsake, model, Behaviour(text=json.dumps(long)))
    assert len(summary["text"]) <= 1600
    assert summary["text"].startswith("Mina is a cat.")
    assert len((await keepsake.get("/sessions/s"))["title"]) <= 80


@pytest.mark.parametrize("shape", UNUSABLE)
async def test_without_a_usable_answer_the_summary_is_extractive_f17(
    keepsake: Keepsake, model: ModelServer, live_rows: Any, shape: str
) -> None:
    """Nothing stays due, and nothing is dead-lettered, because a model cannot do what is asked."""
    summary = await summary_after(keepsake, model, *UNUSABLE[shape])
    assert (summary["text"], summary["extractive"]) == ("My cat is called Mina.", True)
    (header,) = live_rows("session")
    assert (header["due_at"], header["dead_lettered"]) == (None, None)


@pytest.mark.parametrize("shape", UNSUPPORTED)
async def test_structured_output_may_be_unsupported_f55(
    keepsake: Keepsake, model: ModelServer, shape: str
) -> None:
    """A provider that does not know it is asked without it, and the answer is read all the same."""
    script = (UNSUPPORTED[shape], Behaviour(text=TEXT))
    summary = await summary_after(keepsake, model, *script)
    assert (summary["text"], summary["extractive"]) == ("Mina is a cat.", False)
    assert "response_format" not in model.requests[-1]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("你好。我叫小明住在上海。", "我叫小明住在上海。"),
        ("こんにちは。私の猫の名前はミナです。", "私の猫の名前はミナです。"),
        ("my cat is called Mina and she is afraid of thunder " * 8, "my cat is called Mina"),
    ],
    ids=["Chinese", "Japanese", "no punctuation"],
)
async def test_extracts_work_in_every_script(
    keepsake: Keepsake, model: ModelServer, said: str, kept: str
) -> None:
    """Sentences end with a full stop of any script, and text without one is kept in pieces."""
    await keepsake.chat(said)
    model.script.append(whole({"refusal": "I will not."}))
    async with keepsake.client() as client:
        summary = (await client.post("/sessions/s/consolidate")).json()["summary"]
    assert (kept in summary["text"], summary["extractive"]) == (True, True)
