"""Partial updates and batches."""

from __future__ import annotations

from typing import Any

import pytest
from azure.cosmos import exceptions
from azure.cosmos.aio import ContainerProxy

from cosmos_local import LocalCosmos

pytestmark = pytest.mark.anyio


async def patch(
    memory: ContainerProxy, *operations: dict[str, object], **options: Any
) -> dict[str, Any]:
    """Patch the one item and return what became of it."""
    patched: dict[str, Any] = await memory.patch_item("1", "a", list(operations), **options)
    return patched


@pytest.fixture
async def item(memory: ContainerProxy) -> dict[str, Any]:
    """Store an item with a bit of everything."""
    body = {
        "id": "1",
        "user_id": "a",
        "n": 1,
        "tags": ["x", "y"],
        "o": {"p": 1},
        "kind": "Fact",
        "nil": None,
    }
    stored: dict[str, Any] = await memory.create_item(body)
    return stored


@pytest.mark.parametrize(
    ("operation", "path", "wanted"),
    [
        ({"op": "set", "path": "/new", "value": 5}, "new", 5),
        ({"op": "add", "path": "/tags/-", "value": "z"}, "tags", ["x", "y", "z"]),
        ({"op": "add", "path": "/tags/0", "value": "z"}, "tags", ["z", "x", "y"]),
        ({"op": "set", "path": "/tags/0", "value": "z"}, "tags", ["z", "y"]),
        ({"op": "replace", "path": "/o/p", "value": 9}, "o", {"p": 9}),
        ({"op": "remove", "path": "/tags/1"}, "tags", ["x"]),
        ({"op": "incr", "path": "/n", "value": 2}, "n", 3),
        ({"op": "incr", "path": "/fresh", "value": 2}, "fresh", 2),
        ({"op": "move", "from": "/o/p", "path": "/q"}, "q", 1),
        ({"op": "set", "path": "/a~1b", "value": 1}, "a/b", 1),
    ],
)
@pytest.mark.usefixtures("item")
async def test_each_operation_does_its_work(
    memory: ContainerProxy, operation: dict[str, object], path: str, wanted: object
) -> None:
    """add, set, replace, remove, incr and move change what they name."""
    assert (await patch(memory, operation))[path] == wanted


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "remove", "path": "/missing"},
        {"op": "incr", "path": "/kind", "value": 1},
        {"op": "incr", "path": "/n", "value": "1"},
        {"op": "set", "path": "/missing/child", "value": 1},
        {"op": "add", "path": "/tags/9", "value": 1},
        {"op": "set", "path": "/id", "value": "2"},
        {"op": "set", "path": "/user_id", "value": "b"},
        {"op": "remove", "path": "/user_id"},
        {"op": "set", "path": "/_etag", "value": "x"},
        {"op": "set", "path": "/ttl", "value": 0},
        {"op": "set", "path": "/embedding", "value": [1]},
        {"op": "test", "path": "/n", "value": 1},
        {"op": "set", "path": "n", "value": 1},
        {"op": "set", "path": "/n"},
        {"op": "move", "from": "/o", "path": "/o/p"},
    ],
)
async def test_a_patch_that_cannot_be_done_changes_nothing(
    memory: ContainerProxy, item: dict[str, Any], operation: dict[str, object]
) -> None:
    """What is missing, fixed or of the wrong type is 400, even after a step that worked."""
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await patch(memory, {"op": "set", "path": "/x", "value": 1}, operation)
    assert refused.value.status_code == 400
    assert await memory.read_item("1", "a") == item


@pytest.mark.usefixtures("item")
async def test_eleven_operations_are_too_many(memory: ContainerProxy) -> None:
    """Ten is the service's limit."""
    one: dict[str, object] = {"op": "incr", "path": "/n", "value": 1}
    assert (await patch(memory, *[one] * 10))["n"] == 11
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await patch(memory, *[one] * 11)
    assert refused.value.status_code == 400


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("from c where c.kind = 'Fact' and is_null(c.nil)", 200),
        ("from c where c.kind = 'fact'", 412),
        ("from c where c.missing = 1", 412),
        ("from c where c.n >= 1 and c.n < 2", 200),
        ("where c.n = 1", 400),
        ("from c where d.n = 1", 400),
        ("from c where c.n = @n", 400),
        ("from t in c.tags where t = 'x'", 400),
    ],
)
@pytest.mark.usefixtures("item")
async def test_a_condition_decides(memory: ContainerProxy, condition: str, status: int) -> None:
    """A false condition is 412, one that makes no sense is 400."""
    change: dict[str, object] = {"op": "set", "path": "/n", "value": 7}
    try:
        await patch(memory, change, filter_predicate=condition)
    except exceptions.CosmosHttpResponseError as refused:
        answered = refused.status_code
    else:
        answered = 200
    assert answered == status
    assert (await memory.read_item("1", "a"))["n"] == (7 if status == 200 else 1)


@pytest.mark.usefixtures("item")
async def test_a_batch_answers_with_its_documents(memory: ContainerProxy) -> None:
    """All six operations may stand in a batch, and see each other."""
    etag = (await memory.read_item("1", "a"))["_etag"]
    results = await memory.execute_item_batch(
        [
            ("create", ({"id": "2", "user_id": "a"},)),
            ("upsert", ({"id": "3", "user_id": "a"},)),
            ("replace", ("1", {"id": "1", "user_id": "a", "n": 5}), {"if_match_etag": etag}),
            ("patch", ("1", [{"op": "incr", "path": "/n", "value": 1}])),
            ("read", ("1",)),
            ("delete", ("2",)),
        ],
        "a",
    )
    assert [result["statusCode"] for result in results] == [201, 201, 200, 200, 200, 204]
    assert results[4]["resourceBody"]["n"] == 6


@pytest.mark.parametrize(
    ("failing", "status"),
    [
        (("create", ({"id": "1", "user_id": "a"},)), 409),
        (("read", ("9",)), 404),
        (("replace", ("1", {"id": "1", "user_id": "a"}), {"if_match_etag": '"old"'}), 412),
        (
            (
                "patch",
                ("1", [{"op": "set", "path": "/n", "value": 1}]),
                {"filter_predicate": "from c where false"},
            ),
            412,
        ),
        (("create", ({"id": "4", "user_id": "b"},)), 400),
    ],
)
async def test_a_batch_that_fails_leaves_nothing(
    cosmos: LocalCosmos, memory: ContainerProxy, item: dict[str, Any], failing: Any, status: int
) -> None:
    """The failing operation says why, the others 424, and the store is as before."""
    operations = [
        ("upsert", ({"id": "1", "user_id": "a"},)),
        ("create", ({"id": "2", "user_id": "a"},)),
        failing,
    ]
    with pytest.raises(exceptions.CosmosBatchOperationError) as failed:
        await memory.execute_item_batch([*operations, ("delete", ("1",))], "a")
    assert failed.value.error_index == 2
    assert [response["statusCode"] for response in failed.value.operation_responses] == [
        424,
        424,
        status,
        424,
    ]
    assert failed.value.status_code == status
    assert cosmos.rows("memory") == [item]


async def test_a_batch_has_the_services_limits(memory: ContainerProxy) -> None:
    """A hundred operations are allowed, and two megabytes."""

    def creates(count: int, size: int = 1) -> list[Any]:
        return [
            ("create", ({"id": f"{size}-{number}", "user_id": "a", "x": "x" * size},))
            for number in range(count)
        ]

    await memory.execute_item_batch(creates(100), "a")
    with pytest.raises(exceptions.CosmosHttpResponseError) as many:
        await memory.execute_item_batch(creates(101, 2), "a")
    with pytest.raises(exceptions.CosmosHttpResponseError) as large:
        await memory.execute_item_batch(creates(3, 800_000), "a")
    assert (many.value.status_code, large.value.status_code) == (400, 413)
