"""Queries over all partitions: what the gateway refuses, the SDK's own merge answers."""

from __future__ import annotations

from typing import Any

import pytest
from azure.cosmos import exceptions
from azure.cosmos.aio import ContainerProxy

from cosmos_local import Fault, LocalCosmos, WireRequest
from cosmos_local.database import DEFAULT_RANGES

pytestmark = pytest.mark.anyio

USERS = [f"user-{number}" for number in range(12)]


def a_vector(*numbers: float) -> list[float]:
    """Pad a few numbers to the policy's 512."""
    return [*numbers, *[0.0] * (512 - len(numbers))]


@pytest.fixture
async def crowd(memory: ContainerProxy) -> ContainerProxy:
    """Store two items for each of twelve users, spread over all ranges."""
    for number, user in enumerate(USERS):
        text = (
            "apple pie"
            if number % 3 == 0
            else "apple"
            if number % 3 == 1
            else "nothing of the kind"
        )
        vector = a_vector(number + 1, 12 - number)
        await memory.create_item(
            {"id": "x", "user_id": user, "n": number, "text": text, "embedding": vector}
        )
        await memory.create_item(
            {"id": "y", "user_id": user, "n": number + 100, "even": number % 2 == 0}
        )
    return memory


async def select(container: ContainerProxy, query: str, **parameters: object) -> list[Any]:
    """Query everywhere."""
    given: list[dict[str, object]] = [
        {"name": f"@{name}", "value": value} for name, value in parameters.items()
    ]
    return [item async for item in container.query_items(query, parameters=given)]


class Watch:
    """Counts the requests that pass, by kind."""

    def __init__(self, cosmos: LocalCosmos) -> None:
        """Look at every request without touching it."""
        self.requests: list[WireRequest] = []
        cosmos.faults.add(Fault(match=self._see))

    def _see(self, request: WireRequest) -> bool:
        self.requests.append(request)
        return False

    def count(self, kind: str) -> int:
        """Return how many requests of a kind there were."""
        return sum(request.kind == kind for request in self.requests)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT VALUE c.n FROM c WHERE c.n < 100 ORDER BY c.n", list(range(12))),
        ("SELECT VALUE c.n FROM c ORDER BY c.n DESC OFFSET 1 LIMIT 3", [110, 109, 108]),
        ("SELECT TOP 2 c.n FROM c ORDER BY c.n", [{"n": 0}, {"n": 1}]),
        ("SELECT VALUE COUNT(1) FROM c", [24]),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.n = 5", [1]),
        ("SELECT VALUE SUM(c.n) FROM c WHERE c.n < 100", [66]),
        ("SELECT VALUE AVG(c.n) FROM c WHERE c.n < 100", [5.5]),
        ("SELECT DISTINCT VALUE c.id FROM c ORDER BY c.id", ["x", "y"]),
    ],
)
async def test_the_sdk_merges_what_the_ranges_answer(
    cosmos: LocalCosmos, crowd: ContainerProxy, query: str, wanted: list[object]
) -> None:
    """The gateway says 400/1004, hands out the plan, and each range answers its part."""
    watch = Watch(cosmos)
    assert await select(crowd, query) == wanted
    assert watch.count("query_plan") == 1
    assert watch.count("query") == 1 + DEFAULT_RANGES


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT TOP 5 VALUE c.id FROM c", 5),
        ("SELECT DISTINCT VALUE c.even FROM c", 2),
        ("SELECT VALUE c.n FROM c OFFSET 20 LIMIT 10", 4),
    ],
)
async def test_windows_hold_over_all_ranges(crowd: ContainerProxy, query: str, wanted: int) -> None:
    """TOP, DISTINCT and OFFSET LIMIT are counted once, not per range."""
    assert len(await select(crowd, query)) == wanted


async def test_a_plain_filter_needs_no_plan(cosmos: LocalCosmos, crowd: ContainerProxy) -> None:
    """Filters and projections are answered by the gateway itself, page by page."""
    watch = Watch(cosmos)
    pages = crowd.query_items(
        "SELECT c.user_id FROM c WHERE c.n >= 100", max_item_count=5
    ).by_page()
    sizes = [len([item async for item in page]) async for page in pages]
    assert sizes == [5, 5, 2]
    assert watch.count("query_plan") == 0


async def test_groups_by_the_partition_key_are_whole(crowd: ContainerProxy) -> None:
    """Such a group is in one partition; others are refused, as this SDK cannot merge them."""
    found = await select(crowd, "SELECT c.user_id, COUNT(1) AS n FROM c GROUP BY c.user_id")
    assert {item["user_id"]: item["n"] for item in found} == dict.fromkeys(USERS, 2)
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await select(crowd, "SELECT c.id, COUNT(1) AS n FROM c GROUP BY c.id")
    assert refused.value.status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "SELECT COUNT(1) AS n FROM c",
        "SELECT VALUE {'n': COUNT(1)} FROM c",
        "SELECT * FROM c ORDER BY c.id, c.n",
    ],
)
async def test_what_cannot_be_merged_is_400(crowd: ContainerProxy, query: str) -> None:
    """Aggregates only as SELECT VALUE, and no order without its index."""
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await select(crowd, query)
    assert refused.value.status_code == 400


async def test_the_nearest_of_all_ranges(crowd: ContainerProxy) -> None:
    """Distances of all ranges are put in one order."""
    distance = "VectorDistance(c.embedding, @v)"
    query = f"SELECT TOP 3 c.n FROM c WHERE IS_DEFINED(c.embedding) ORDER BY {distance}"
    assert await select(crowd, query, v=a_vector(1)) == [{"n": 11}, {"n": 10}, {"n": 9}]


async def test_the_best_text_of_all_ranges(crowd: ContainerProxy) -> None:
    """Scores use statistics the SDK gathers from all ranges first."""
    query = (
        "SELECT TOP 4 VALUE c.n FROM c WHERE c.id = 'x' ORDER BY RANK FullTextScore(c.text, 'pie')"
    )
    found = await select(crowd, query)
    assert set(found) == {0, 3, 6, 9}


async def test_fused_ranks_of_all_ranges(crowd: ContainerProxy) -> None:
    """The SDK fuses the components it collected itself."""
    score = "RRF(FullTextScore(c.text, 'pie'), VectorDistance(c.embedding, @v), [1, 2])"
    query = f"SELECT TOP 2 c.n FROM c WHERE c.id = 'x' ORDER BY RANK {score}"
    assert (await select(crowd, query, v=a_vector(1)))[0] in ({"n": 9}, {"n": 11})


async def test_the_feed_shows_each_change_once(crowd: ContainerProxy) -> None:
    """From the beginning all items, then only what changed, then nothing."""
    seen: dict[str, str] = {}

    def keep(headers: Any, _: Any) -> None:
        seen.update(headers)

    first = [
        item
        async for item in crowd.query_items_change_feed(start_time="Beginning", response_hook=keep)
    ]
    assert len(first) == 24
    await crowd.upsert_item({"id": "x", "user_id": USERS[0], "n": 1})
    await crowd.create_item({"id": "z", "user_id": USERS[5]})
    await crowd.delete_item("y", USERS[6])
    token = seen["etag"]
    news = [item async for item in crowd.query_items_change_feed(continuation=token)]
    assert sorted(item["id"] for item in news) == ["x", "z"]


async def test_the_feed_of_one_partition(crowd: ContainerProxy) -> None:
    """A partition's feed has nothing of the others."""
    found = [
        item
        async for item in crowd.query_items_change_feed(
            start_time="Beginning", partition_key=USERS[3]
        )
    ]
    assert [item["user_id"] for item in found] == [USERS[3]] * 2


async def test_the_feed_from_now_on(crowd: ContainerProxy) -> None:
    """Without a start there is nothing until something happens."""
    assert [item async for item in crowd.query_items_change_feed()] == []


async def test_there_are_several_ranges(crowd: ContainerProxy) -> None:
    """A merge over one range would prove nothing."""
    assert len([feed_range async for feed_range in crowd.read_feed_ranges()]) == DEFAULT_RANGES
