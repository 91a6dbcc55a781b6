"""What a conversation turn needs, through the SDK."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos import exceptions
from azure.cosmos.aio import ContainerProxy

from cosmos_local import Fault, LocalCosmos

pytestmark = pytest.mark.anyio


def a_commit(turn: str) -> list[Any]:
    """Build a fresh batch: the SDK takes the condition out of the operations it is given."""
    return [
        ("create", ({"id": turn, "user_id": "a", "kind": "turn", "gen": "g", "seq": 1},)),
        (
            "patch",
            ("s:1", [{"op": "set", "path": "/turn_count", "value": 1}]),
            {"filter_predicate": "from c where c.gen = 'g' and c.turn_count = 0"},
        ),
    ]


async def test_an_item_lives_its_whole_life(memory: ContainerProxy) -> None:
    """An item can be created, read, replaced, upserted and deleted."""
    created = await memory.create_item({"id": "1", "user_id": "a", "n": 1})
    replaced = await memory.replace_item(
        "1",
        {"id": "1", "user_id": "a", "n": 2},
        etag=created["_etag"],
        match_condition=MatchConditions.IfNotModified,
    )
    assert (await memory.read_item("1", "a"))["n"] == 2
    assert replaced["_etag"] != created["_etag"]
    await memory.upsert_item({"id": "1", "user_id": "a", "n": 3})
    await memory.delete_item("1", "a")
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await memory.read_item("1", "a")


async def test_a_turn_commits_in_one_batch(memory: ContainerProxy) -> None:
    """A batch creates a turn and moves its header on, and returns both."""
    await memory.create_item(
        {"id": "s:1", "user_id": "a", "kind": "session", "gen": "g", "turn_count": 0}
    )
    results = await memory.execute_item_batch(a_commit("t:1"), "a")
    assert [result["statusCode"] for result in results] == [201, 200]
    assert results[1]["resourceBody"]["turn_count"] == 1
    with pytest.raises(exceptions.CosmosBatchOperationError) as failed:
        await memory.execute_item_batch(a_commit("t:2"), "a")
    assert failed.value.error_index == 1
    assert [response["statusCode"] for response in failed.value.operation_responses] == [424, 412]
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await memory.read_item("t:2", "a")


async def test_the_newest_turns_come_first(memory: ContainerProxy) -> None:
    """A one-partition query filters, orders and cuts."""
    for number in range(1, 6):
        await memory.create_item(
            {"id": f"t:{number}", "user_id": "a", "kind": "turn", "gen": "g", "seq": number}
        )
    await memory.create_item({"id": "t:9", "user_id": "b", "kind": "turn", "gen": "g", "seq": 9})
    query = (
        "SELECT TOP 3 c.id, c.seq FROM c "
        "WHERE c.user_id = @u AND c.kind = 'turn' AND c.seq <= @seq ORDER BY c.seq DESC"
    )
    parameters: list[dict[str, object]] = [
        {"name": "@u", "value": "a"},
        {"name": "@seq", "value": 4},
    ]
    found = [
        item async for item in memory.query_items(query, parameters=parameters, partition_key="a")
    ]
    assert [item["seq"] for item in found] == [4, 3, 2]


async def test_sessions_page_by_activity(memory: ContainerProxy) -> None:
    """The composite index serves an order over two properties, in pages."""
    for number in range(5):
        item = {
            "id": f"s{number}",
            "user_id": "a",
            "kind": "session",
            "turn_count": 1,
            "last_active_at": number // 2,
        }
        await memory.create_item(item)
    query = (
        "SELECT * FROM c WHERE c.user_id = 'a' "
        "ORDER BY c.last_active_at DESC, c.id DESC OFFSET 0 LIMIT @n"
    )
    pages = memory.query_items(
        query, parameters=[{"name": "@n", "value": 4}], partition_key="a", max_item_count=3
    ).by_page()
    found = [[item["id"] async for item in page] async for page in pages]
    assert found == [["s4", "s3", "s2"], ["s1"]]


async def test_an_expired_item_is_gone_at_once(memory: ContainerProxy, cosmos: LocalCosmos) -> None:
    """TTL hides an item everywhere, and its id is free again."""
    await memory.create_item({"id": "1", "user_id": "a", "ttl": 60})
    cosmos.clock.advance(61)
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await memory.read_item("1", "a")
    assert [item async for item in memory.query_items("SELECT * FROM c", partition_key="a")] == []
    assert len(cosmos.rows("memory")) == 1
    await memory.create_item({"id": "1", "user_id": "a"})


async def test_the_timer_finds_what_is_due_in_every_partition(memory: ContainerProxy) -> None:
    """A plain filter may go across partitions."""
    for user in ("a", "b", "c"):
        await memory.create_item(
            {"id": "x", "user_id": user, "kind": "grave", "gen": user, "due_at": 1}
        )
    query = "SELECT c.user_id, c.gen FROM c WHERE c.kind = 'grave' AND c.due_at <= @now"
    found = [
        item async for item in memory.query_items(query, parameters=[{"name": "@now", "value": 5}])
    ]
    assert sorted(item["gen"] for item in found) == ["a", "b", "c"]


async def test_a_lost_answer_leaves_one_document(
    memory: ContainerProxy, cosmos: LocalCosmos
) -> None:
    """A write whose answer is lost was done all the same."""
    cosmos.faults.add(Fault(status=503, kind="batch", applied=True, times=9))
    with pytest.raises(exceptions.CosmosHttpResponseError):
        await memory.execute_item_batch(
            [("create", ({"id": "1", "user_id": "a"},))], "a", retry_write=0
        )
    assert (await memory.read_item("1", "a"))["id"] == "1"


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT VALUE COUNT(1) FROM c", [3]),
        (
            "SELECT c.id FROM c WHERE c.kind IN ('turn', 'data') AND NOT IS_DEFINED(c.x)",
            [{"id": "1"}],
        ),
        ("SELECT VALUE c.id FROM c WHERE c.n BETWEEN 2 AND 3", ["2", "3"]),
        ("SELECT VALUE c.id FROM c WHERE STARTSWITH(c.kind, 't') OR c.n > 2", ["1", "2", "3"]),
        ("SELECT VALUE c.id FROM c WHERE c.n < '5'", []),
        ("SELECT VALUE c.id FROM c WHERE c.kind != 'turn'", ["3"]),
        ("SELECT VALUE c.id FROM c WHERE NOT (c.x > 1)", ["2"]),
    ],
)
async def test_filters_follow_the_services_logic(
    memory: ContainerProxy, query: str, wanted: list[object]
) -> None:
    """Undefined is neither true nor false, and types do not mix."""
    await memory.create_item({"id": "1", "user_id": "a", "kind": "turn", "n": 1})
    await memory.create_item({"id": "2", "user_id": "a", "kind": "turn", "n": 2, "x": 1})
    await memory.create_item({"id": "3", "user_id": "a", "kind": "session", "n": 3, "x": 5})
    assert [item async for item in memory.query_items(query, partition_key="a")] == wanted


@pytest.mark.parametrize(
    "query",
    [
        "SELEC * FROM c",
        "SELECT * FROM c ORDER BY c.kind, c.seq",
        "SELECT * FROM c ORDER BY c.text",
        "SELECT * FROM c WHERE NOSUCH(c.x)",
        "SELECT * FROM c WHERE d.x = 1",
        "SELECT * FROM c WHERE c.x = @missing",
    ],
)
async def test_what_the_service_refuses_is_refused(memory: ContainerProxy, query: str) -> None:
    """A query the service would not answer is a 400."""
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        _ = [item async for item in memory.query_items(query, partition_key="a")]
    assert refused.value.status_code == 400
