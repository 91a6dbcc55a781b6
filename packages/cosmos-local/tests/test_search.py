"""Vector distances, full text and their fusion, in one partition."""

from __future__ import annotations

import math
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from cosmos_local import LocalCosmos

pytestmark = pytest.mark.anyio

TEXTS = [
    "a red apple pie",
    "the blue sky",
    "apples from the apple tree",
    "the sea was running high",
]
DISTANCE = "VectorDistance(c.embedding, @v)"


def a_vector(*numbers: float) -> list[float]:
    """Pad a few numbers to the policy's 512."""
    return [*numbers, *[0.0] * (512 - len(numbers))]


VECTORS = [a_vector(1), a_vector(0, 1), a_vector(0.9, 0.1), a_vector(0, 0, 1)]


@pytest.fixture
async def library(memory: ContainerProxy) -> ContainerProxy:
    """Store four texts with vectors for one user, one for another, and one without either."""
    for number, (text, vector) in enumerate(zip(TEXTS, VECTORS, strict=True)):
        await memory.create_item(
            {"id": str(number), "user_id": "a", "text": text, "embedding": vector}
        )
    await memory.create_item({"id": "bare", "user_id": "a"})
    await memory.create_item(
        {"id": "other", "user_id": "b", "text": "apple apple apple", "embedding": a_vector(1)}
    )
    return memory


async def select(container: ContainerProxy, query: str, **parameters: object) -> list[Any]:
    """Query user a's partition."""
    given: list[dict[str, object]] = [
        {"name": f"@{name}", "value": value} for name, value in parameters.items()
    ]
    return [
        item async for item in container.query_items(query, parameters=given, partition_key="a")
    ]


async def test_the_nearest_vector_comes_first(library: ContainerProxy) -> None:
    """Distances are exact, in order, and inside the partition."""
    query = f"SELECT TOP 3 c.id, {DISTANCE} AS score FROM c ORDER BY {DISTANCE}"
    found = await select(library, query, v=a_vector(1))
    assert [item["id"] for item in found] == ["0", "2", "1"]
    assert found[0]["score"] == pytest.approx(1.0, abs=1e-6)
    assert found[1]["score"] == pytest.approx(0.9 / math.hypot(0.9, 0.1), abs=1e-6)


@pytest.mark.parametrize(
    ("function", "nearest", "score"),
    [("dotproduct", "0", 2.0), ("euclidean", "0", 1.0), ("cosine", "0", 1.0)],
)
async def test_a_query_may_name_its_distance(
    library: ContainerProxy, function: str, nearest: str, score: float
) -> None:
    """Cosine, dot product and euclidean distance are what they are called."""
    call = f"VectorDistance(c.embedding, @v, true, {{'distanceFunction': '{function}'}})"
    query = f"SELECT TOP 1 c.id, {call} AS score FROM c ORDER BY {call}"
    assert await select(library, query, v=a_vector(2)) == [
        {"id": nearest, "score": pytest.approx(score)}
    ]


async def test_a_document_without_a_vector_has_no_distance(library: ContainerProxy) -> None:
    """It comes last, and its score is not there."""
    query = f"SELECT TOP 9 c.id, {DISTANCE} AS score FROM c ORDER BY {DISTANCE}"
    found = await select(library, query, v=a_vector(1))
    assert found[-1] == {"id": "bare"}


async def test_a_distance_can_be_filtered(library: ContainerProxy) -> None:
    """VectorDistance is a number like others."""
    found = await select(library, f"SELECT VALUE c.id FROM c WHERE {DISTANCE} > 0.5", v=a_vector(1))
    assert found == ["0", "2"]


async def test_the_index_follows_every_write(library: ContainerProxy, cosmos: LocalCosmos) -> None:
    """A new, changed, deleted or expired vector counts at once."""
    query = f"SELECT TOP 2 VALUE c.id FROM c ORDER BY {DISTANCE}"
    await select(library, query, v=a_vector(1))
    await library.delete_item("0", "a")
    await library.upsert_item({"id": "1", "user_id": "a", "embedding": a_vector(1)})
    assert await select(library, query, v=a_vector(1)) == ["1", "2"]
    await library.create_item({"id": "new", "user_id": "a", "embedding": a_vector(1), "ttl": 5})
    assert await select(library, query, v=a_vector(1)) == ["1", "new"]
    cosmos.clock.advance(6)
    assert await select(library, query, v=a_vector(1)) == ["1", "2"]


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("FullTextContains(c.text, 'apple')", "02"),
        ("FullTextContains(c.text, 'APPLES')", "02"),
        ("FullTextContains(c.text, 'run')", "3"),
        ("FullTextContains(c.text, 'red apple')", "0"),
        ("FullTextContains(c.text, 'apple red')", ""),
        ("FullTextContains(c.text, '\"*) OR (')", ""),
        ("FullTextContainsAll(c.text, 'apple', 'pie')", "0"),
        ("FullTextContainsAny(c.text, 'sea', 'pie')", "03"),
        ("NOT FullTextContains(c.text, 'apple') AND IS_DEFINED(c.text)", "13"),
    ],
)
async def test_words_are_found_by_their_stem(library: ContainerProxy, where: str, ids: str) -> None:
    """Full text knows English endings, phrases, and no syntax of its own."""
    found = await select(library, f"SELECT VALUE c.id FROM c WHERE {where}")
    assert "".join(found) == ids


async def test_the_best_text_comes_first(library: ContainerProxy) -> None:
    """BM25 prefers more hits and rarer words, and gives nothing for none."""
    found = await select(
        library, "SELECT TOP 9 VALUE c.id FROM c ORDER BY RANK FullTextScore(c.text, 'apple')"
    )
    assert found == ["2", "0", "1", "3", "bare"]
    found = await select(
        library,
        "SELECT TOP 1 VALUE c.id FROM c ORDER BY RANK FullTextScore(c.text, 'apple', 'pie')",
    )
    assert found == ["0"]


@pytest.mark.parametrize(
    "amount", [("TOP @n ", ""), ("", " OFFSET 0 LIMIT @n"), ("", " OFFSET @n LIMIT 2")]
)
async def test_how_many_of_the_best_is_a_number_in_the_text(
    library: ContainerProxy, amount: tuple[str, str]
) -> None:
    """A ranked query is distributed before its parameters are read."""
    top, limit = amount
    text = f"SELECT {top}VALUE c.id FROM c ORDER BY RANK FullTextScore(c.text, 'apple'){limit}"
    with pytest.raises(CosmosHttpResponseError) as refused:
        await select(library, text, n=2)
    assert (refused.value.status_code, "number literal" in str(refused.value)) == (400, True)


async def test_ranks_are_fused(library: ContainerProxy) -> None:
    """RRF adds up reciprocal ranks; weights shift it, a negative one turns it around."""
    fused = "RRF(FullTextScore(c.text, 'apple'), VectorDistance(c.embedding, @v){weights})"
    query = "SELECT TOP 2 VALUE c.id FROM c WHERE IS_DEFINED(c.text) ORDER BY RANK " + fused
    assert await select(library, query.format(weights=""), v=a_vector(0, 0.1)) == ["2", "1"]
    assert await select(library, query.format(weights=", [1, 0]"), v=a_vector(0, 1)) == ["2", "0"]
    assert await select(library, query.format(weights=", [0, 1]"), v=a_vector(0, 1)) == ["1", "2"]
    turned = await select(library, query.format(weights=", [0, -1]"), v=a_vector(0, 1))
    assert "1" not in turned
