"""What the service documents about full text and vectors: limits, stop words, scopes, options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, exceptions

from accounts import a_container, an_account, rows_of
from cosmos_local import Fault, LocalCosmos, WireRequest

VECTOR = {"path": "/v", "dataType": "float32", "distanceFunction": "cosine", "dimensions": 2}
SEARCHED: dict[str, object] = {
    "vectorEmbeddingPolicy": {"vectorEmbeddings": [VECTOR]},
    "fullTextPolicy": {"defaultLanguage": "en-US", "fullTextPaths": [{"path": "/text"}]},
    "indexingPolicy": {
        "vectorIndexes": [{"path": "/v", "type": "flat"}],
        "fullTextIndexes": [{"path": "/text"}],
    },
}
TEXTS = [
    "my name is Ann",
    "the first red bicycle is not new",
    "I don't like the user's blue bicycle",
    "a red, red rose",
]


@pytest.fixture
def opened() -> Iterator[tuple[LocalCosmos, ContainerProxy]]:
    """Store four texts with vectors in one partition, and one in each of five others."""
    with an_account() as (cosmos, client):
        container = a_container(client, **SEARCHED)
        for number, text in enumerate(TEXTS):
            vector = [1.0, float(number)]
            container.create_item({"id": f"{number}", "pk": "a", "text": text, "v": vector})
        for number in range(5):
            other = {"id": "x", "pk": f"p{number}", "text": "red bicycle", "v": [-1.0, number]}
            container.create_item(other)
        yield cosmos, container


@pytest.fixture
def container(opened: tuple[LocalCosmos, ContainerProxy]) -> ContainerProxy:
    """Return the container of the texts."""
    return opened[1]


@pytest.mark.parametrize(
    ("terms", "ids"),
    [
        ("'name'", ""),
        ("'the'", ""),
        ("'first'", ""),
        ("'my name is Ann'", "0"),
        ("'ann'", "0"),
        ("'red bicycle'", "1"),
        ("'first red bicycles'", "1"),
        ("'red rose'", "3"),
        ("'user'", "2"),
        ("'don\u2019t'", ""),
        ("'bicycle'", "12"),
    ],
)
def test_stop_words_are_neither_stored_nor_searched(
    container: ContainerProxy, terms: str, ids: str
) -> None:
    """The service's list of common words does not count, in texts and in phrases."""
    found = rows_of(container, f"SELECT VALUE c.id FROM c WHERE FullTextContains(c.text, {terms})")
    assert "".join(found) == ids


def test_thirty_terms_are_the_limit(container: ContainerProxy) -> None:
    """A score of 31 terms is 400, as in the service."""
    query = "SELECT TOP 1 VALUE c.id FROM c ORDER BY RANK FullTextScore(c.text, {})"
    terms = [f"'term{number}'" for number in range(29)] + ["'rose'"]
    assert rows_of(container, query.format(", ".join(terms))) == ["3"]
    with pytest.raises(exceptions.CosmosHttpResponseError, match="One of the input values"):
        rows_of(container, query.format(", ".join([*terms, "'x'"])))


@pytest.mark.parametrize("terms", ["['red', 'rose']", "{'term': 'red', 'distance': 1}", "5"])
def test_terms_are_strings(container: ContainerProxy, terms: str) -> None:
    """The array form is gone, and fuzzy terms are a preview: both are refused."""
    with pytest.raises(exceptions.CosmosHttpResponseError):
        rows_of(container, f"SELECT * FROM c WHERE FullTextContainsAny(c.text, {terms})")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT VALUE c.id FROM c WHERE FullTextContains(c.note, 'pie')",
        "SELECT TOP 1 VALUE c.id FROM c ORDER BY RANK FullTextScore(c.note, 'pie')",
        "SELECT TOP 1 VALUE c.id FROM c ORDER BY VectorDistance(c.w, [0, 1])",
        "SELECT VALUE c.id FROM c WHERE VectorDistance(c.w, [0, 1]) > 0.9",
        "SELECT VALUE c.id FROM c WHERE VectorDistance([0, 1], c.w) > 0.9",
        "SELECT VALUE c.id FROM c WHERE VectorDistance(c.o.w, [0, 1], true) > 0.9",
        "SELECT VALUE c.id FROM c JOIN w IN c.list WHERE VectorDistance(w, [0, 1]) > 0.9",
    ],
)
def test_a_search_needs_no_index(container: ContainerProxy, query: str) -> None:
    """Without a policy, texts are searched and vectors compared all the same, only slower."""
    container.create_item(
        {"id": "pie", "pk": "a", "note": "an apple pie", "w": [0, 2], "o": {"w": [0, 1]},
         "list": [[0, 1], [1, 0]]}
    )  # fmt: skip
    container.create_item({"id": "no", "pk": "a", "note": "none", "w": [1, 0], "list": ["x"]})
    container.create_item({"id": "odd", "pk": "a", "note": 1, "w": [1, 2, 3]})
    assert rows_of(container, query) == ["pie"]


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ("", "0"),
        (", false, {'distanceFunction': 'dotproduct'}", "3"),
        (", true, {'distanceFunction': 'Euclidean'}", "1"),
        (", false, {'dataType': 'float32', 'searchListSizeMultiplier': 10}", "0"),
        (", false, {'quantizedVectorListMultiplier': 5, 'filterPriority': 0.5}", "0"),
    ],
)
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_querys_options_win_over_the_policy(
    container: ContainerProxy, options: str, first: str, *, everywhere: bool
) -> None:
    """A distance named in the query decides the order, also across partitions."""
    vector = "[1, 4]" if "dot" in options else "[1, 1]" if "Eu" in options else "[1, 0]"
    query = f"SELECT TOP 1 VALUE c.id FROM c ORDER BY VectorDistance(c.v, {vector}{options})"
    if everywhere:
        query = query.replace("FROM c", "FROM c WHERE c.v[0] > 0")
        found: list[Any] = list(container.query_items(query, enable_cross_partition_query=True))
        assert found == [first]
    else:
        assert rows_of(container, query) == [first]


@pytest.mark.parametrize(
    "options",
    [
        ", 1",
        ", false, {'distanceFunction': 'manhattan'}",
        ", false, {'dataType': 'float64'}",
        ", false, {'searchListSizeMultiplier': 0}",
        ", false, {'quantizedVectorListMultiplier': 101}",
        ", false, {'filterPriority': 2}",
        ", false, {'speed': 1}",
        ", false, []",
    ],
)
def test_an_option_that_is_not_understood_is_refused(
    container: ContainerProxy, options: str
) -> None:
    """Options of VectorDistance are checked, those without effect too."""
    query = f"SELECT TOP 1 * FROM c ORDER BY VectorDistance(c.v, [1, 0]{options})"
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        rows_of(container, query)
    assert refused.value.status_code == 400


RANKED = """
SELECT TOP 3 VALUE c.id FROM c WHERE c.pk = 'a'
ORDER BY RANK FullTextScore(c.text, 'red', 'rose')
"""


@pytest.mark.parametrize("scope", ["Local", "Global"])
def test_a_keyed_ranked_query_may_take_the_plan(
    opened: tuple[LocalCosmos, ContainerProxy], scope: str
) -> None:
    """If the gateway says 1004, the SDK gathers statistics from its scope and merges by itself."""
    cosmos, container = opened
    seen: list[WireRequest] = []
    cosmos.faults.add(Fault(kind="query", status=400, substatus=1004))
    cosmos.faults.add(Fault(match=lambda request: seen.append(request) is not None))  # type: ignore[func-returns-value]
    options: dict[str, Any] = {"full_text_score_scope": scope}
    found = container.query_items(RANKED, partition_key="a", **options)
    ids: list[Any] = list(found)
    assert ids[:2] == ["3", "1"]
    assert len(ids) == len(set(ids))
    statistics = [request for request in seen if b"documentCount" in request.body]
    assert len(statistics) == (1 if scope == "Local" else 4)


def test_a_keyed_ranked_query_may_fail(opened: tuple[LocalCosmos, ContainerProxy]) -> None:
    """A 500 in place of the plan reaches the caller once the SDK has given up."""
    cosmos, container = opened
    cosmos.faults.add(Fault(kind="query", status=500, times=9))
    with pytest.raises(exceptions.CosmosHttpResponseError) as failed:
        list(container.query_items(RANKED, partition_key="a"))
    assert failed.value.status_code == 500


def test_vectors_are_read_back_as_they_were_written(container: ContainerProxy) -> None:
    """Whatever way numbers are packed, they come back the same."""
    for vector in ([0.1, -0.000001], [1 / 3, 1e-300], [1e300, 2], [0, 1], [16777217, 0.5], None):
        container.upsert_item({"id": "n", "pk": "a", "v": vector})
        assert container.read_item("n", "a")["v"] == vector
        assert rows_of(container, "SELECT VALUE c.v FROM c WHERE c.id = 'n'") == [vector]
