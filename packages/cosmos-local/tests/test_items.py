"""Single items: what is stored, what is refused, and with which status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import ContainerProxy, CosmosClient

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, Fault, LocalCosmos, WireRequest

pytestmark = pytest.mark.anyio
DECLARATION = Path(__file__).parent / "containers.json"


async def refused(call: Any) -> int:
    """Return the status a call is refused with."""
    with pytest.raises(exceptions.CosmosHttpResponseError) as refusal:
        await call
    return int(refusal.value.status_code or 0)


def an_item(**changed: object) -> dict[str, object]:
    """Build an item of user a."""
    return {"id": "1", "user_id": "a", **changed}


@pytest.mark.parametrize(
    "item_id", ["héllo wörld", "a:b|c@d", "日本", "a%20b", "a+b=c&d", "x" * 1023]
)
async def test_an_id_may_be_any_text_the_service_takes(
    memory: ContainerProxy, item_id: str
) -> None:
    """Ids and keys with odd characters survive the way there and back."""
    await memory.create_item({"id": item_id, "user_id": "ü ser/1"})
    assert (await memory.read_item(item_id, "ü ser/1"))["id"] == item_id


@pytest.mark.parametrize("item_id", ["a/b", "a\\b", "a?b", "a#b", "x" * 1024, "é" * 512, "a ", 5])
async def test_a_bad_id_is_refused(
    cosmos: LocalCosmos, memory: ContainerProxy, item_id: object
) -> None:
    """Ids with slashes, ? or #, long ones and other types are refused, and not stored."""
    with pytest.raises((exceptions.CosmosHttpResponseError, ValueError, TypeError)):
        await memory.upsert_item(an_item(id=item_id))
    assert cosmos.rows("memory") == []


async def test_values_come_back_as_they_were(memory: ContainerProxy) -> None:
    """Every JSON value survives, the largest safe integer and the empty string too."""
    values: dict[str, object] = {
        "i": 2**53 - 1,
        "f": 0.1,
        "b": True,
        "n": None,
        "l": [1, "x", {}],
        "e": "",
        "u": "\0é",
    }
    await memory.create_item(an_item(**values))
    found = await memory.read_item("1", "a")
    assert {name: found[name] for name in values} == values


@pytest.mark.parametrize("key", ["a", 5, 2.5, True, None])
async def test_a_partition_key_may_be_of_any_scalar_type(memory: ContainerProxy, key: Any) -> None:
    """Strings, numbers, booleans and null are partition keys."""
    await memory.create_item({"id": "1", "user_id": key})
    assert (await memory.read_item("1", key))["user_id"] == key


async def test_one_id_in_two_partitions_is_two_items(memory: ContainerProxy) -> None:
    """The key of an item is its partition and its id."""
    await memory.create_item({"id": "1", "user_id": "a", "n": 1})
    await memory.create_item({"id": "1", "user_id": "b", "n": 2})
    assert [(await memory.read_item("1", user))["n"] for user in ("a", "b")] == [1, 2]


async def test_what_is_not_there_is_404(memory: ContainerProxy) -> None:
    """Read, replace, patch and delete of a missing item are 404."""
    assert await refused(memory.read_item("1", "a")) == 404
    assert await refused(memory.replace_item("1", an_item())) == 404
    assert (
        await refused(memory.patch_item("1", "a", [{"op": "set", "path": "/n", "value": 1}])) == 404
    )
    assert await refused(memory.delete_item("1", "a")) == 404


async def test_an_undeclared_container_is_404(client: CosmosClient) -> None:
    """Only what is declared exists."""
    stranger = client.get_database_client("agent-memory").get_container_client("stranger")
    assert await refused(stranger.read_item("1", "a")) == 404
    assert await refused(client.get_database_client("other").read()) == 404


async def test_a_container_cannot_be_created(client: CosmosClient) -> None:
    """Containers come from the declaration, as with data-plane roles."""
    database = client.get_database_client("agent-memory")
    assert await refused(database.create_container("new", PartitionKey("/id"))) == 403


async def test_a_second_create_is_409(memory: ContainerProxy) -> None:
    """An id is taken once."""
    await memory.create_item(an_item())
    assert await refused(memory.create_item(an_item())) == 409


async def test_an_item_over_two_megabytes_is_413(memory: ContainerProxy) -> None:
    """The limit is the service's; what is under it is stored."""
    await memory.create_item(an_item(value="x" * 1_900_000))
    assert await refused(memory.upsert_item(an_item(value="x" * (2 * 1024 * 1024)))) == 413


async def test_a_key_that_is_not_the_documents_is_400(memory: ContainerProxy) -> None:
    """The header cannot put a document into another user's partition."""
    connection = memory.client_connection
    assert (
        await refused(
            connection.CreateItem(memory.container_link, an_item(), {"partitionKey": "b"})
        )
        == 400
    )
    assert (
        await refused(
            connection.CreateItem(memory.container_link, {"id": "1"}, {"partitionKey": "a"})
        )
        == 400
    )


@pytest.mark.parametrize("ttl", [0, -2, 1.5, "60", None, True, 2**31])
async def test_a_bad_ttl_is_400(memory: ContainerProxy, ttl: object) -> None:
    """A time to live is -1 or a positive integer."""
    assert await refused(memory.create_item(an_item(ttl=ttl))) == 400


@pytest.mark.parametrize(
    "vector", [[0.1] * 511, [0.1] * 513, "text", [0.1] * 511 + ["x"], [0.1] * 511 + [True]]
)
async def test_a_vector_of_another_shape_is_400(memory: ContainerProxy, vector: object) -> None:
    """The vector policy says how many numbers a vector has."""
    assert await refused(memory.create_item(an_item(embedding=vector))) == 400


async def test_a_document_may_come_without_its_vector(memory: ContainerProxy) -> None:
    """Vectors can be filled in later."""
    await memory.create_item(an_item())
    await memory.patch_item("1", "a", [{"op": "add", "path": "/embedding", "value": [0.5] * 512}])
    assert (await memory.read_item("1", "a"))["embedding"] == [0.5] * 512


@pytest.mark.parametrize("verb", ["replace", "upsert", "delete", "patch"])
async def test_an_old_etag_is_412(memory: ContainerProxy, verb: str) -> None:
    """A conditional write loses against a newer version."""
    old = (await memory.create_item(an_item(n=1)))["_etag"]
    await memory.upsert_item(an_item(n=2))
    condition: dict[str, Any] = {"etag": old, "match_condition": MatchConditions.IfNotModified}
    calls: dict[str, Callable[[], Any]] = {
        "replace": lambda: memory.replace_item("1", an_item(n=3), **condition),
        "upsert": lambda: memory.upsert_item(an_item(n=3), **condition),
        "delete": lambda: memory.delete_item("1", "a", **condition),
        "patch": lambda: memory.patch_item(
            "1", "a", [{"op": "incr", "path": "/n", "value": 1}], **condition
        ),
    }
    assert await refused(calls[verb]()) == 412
    assert (await memory.read_item("1", "a"))["n"] == 2


async def test_an_unchanged_item_is_304(memory: ContainerProxy) -> None:
    """If-None-Match saves the body."""
    etag = (await memory.create_item(an_item()))["_etag"]
    assert dict(await memory.read_item("1", "a", headers={"If-None-Match": etag})) == {}


async def test_thirty_writers_with_one_etag_have_one_winner(memory: ContainerProxy) -> None:
    """An ETag is good for one write."""
    etag = (await memory.create_item(an_item(n=0)))["_etag"]

    async def write(number: int) -> bool:
        try:
            await memory.replace_item(
                "1", an_item(n=number), etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except exceptions.CosmosAccessConditionFailedError:
            return False
        return True

    assert sum(await asyncio.gather(*map(write, range(30)))) == 1


async def test_a_hundred_increments_are_a_hundred(memory: ContainerProxy) -> None:
    """Patches do not lose each other."""
    await memory.create_item(an_item(n=0))
    patch = [{"op": "incr", "path": "/n", "value": 1}]
    await asyncio.gather(*(memory.patch_item("1", "a", patch) for _ in range(100)))
    assert (await memory.read_item("1", "a"))["n"] == 100


async def test_a_write_can_go_without_its_document(memory: ContainerProxy) -> None:
    """return=minimal is heeded."""
    answer = await memory.create_item(an_item(), no_response=True)
    assert dict(answer) == {}
    assert (await memory.read_item("1", "a"))["id"] == "1"


async def test_many_items_are_read_at_once(memory: ContainerProxy) -> None:
    """read_items answers what there is."""
    for number in range(4):
        await memory.create_item({"id": str(number), "user_id": "ab"[number % 2]})
    found = await memory.read_items([("0", "a"), ("1", "b"), ("2", "a"), ("9", "a")])
    assert sorted(item["id"] for item in found) == ["0", "1", "2"]


async def test_a_whole_partition_can_be_deleted(memory: ContainerProxy) -> None:
    """Deleting by key leaves the others alone."""
    for number in range(4):
        await memory.create_item({"id": str(number), "user_id": "ab"[number % 2]})
    await memory.delete_all_items_by_partition_key("a")
    assert {item["user_id"] async for item in memory.read_all_items()} == {"b"}


async def test_large_integers_are_doubles(memory: ContainerProxy) -> None:
    """What is no double comes back as the nearest one, as from the service."""
    await memory.create_item(an_item(n=2**53 + 1, large=10**25))
    found = await memory.read_item("1", "a")
    assert (found["n"], found["large"]) == (2**53, 1e25)


async def test_under_session_consistency_the_sdk_sends_its_tokens() -> None:
    """Session tokens name the ranges, so that the SDK can use them."""
    cosmos = LocalCosmos.open(None, DECLARATION, consistency="Session")
    seen: list[WireRequest] = []

    def see(request: WireRequest) -> bool:
        seen.append(request)
        return False

    cosmos.faults.add(Fault(kind="read", match=see))
    client = CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=cosmos.transport())
    await client.__aenter__()  # only then does the asynchronous SDK learn the account's consistency
    memory = client.get_database_client("agent-memory").get_container_client("memory")
    await memory.create_item(an_item())
    assert (await memory.read_item("1", "a"))["id"] == "1"
    assert [item["id"] async for item in memory.query_items("SELECT * FROM c ORDER BY c.id")] == [
        "1"
    ]
    await client.close()
    cosmos.close()
    assert seen[0].headers["x-ms-session-token"].endswith("#1")


async def test_a_wrong_key_is_401(cosmos: LocalCosmos) -> None:
    """The account key is checked over every request."""
    with pytest.raises(exceptions.CosmosHttpResponseError) as refusal:
        async with CosmosClient(
            "https://127.0.0.1",
            "d3JvbmcgaGVsbG8gd29ybGQgd3JvbmcgIGtleQ==",
            transport=cosmos.transport(),
        ) as stranger:
            await stranger.get_database_client("agent-memory").read()
    assert refusal.value.status_code == 401


async def test_headers_that_are_not_understood_are_refused(memory: ContainerProxy) -> None:
    """A trigger that would not run is not silently left out."""
    assert await refused(memory.create_item(an_item(), pre_trigger_include="t")) == 400
    assert await refused(memory.create_item(an_item(), indexing_directive=1)) == 400


async def test_charges_tokens_and_etags_are_in_the_headers(memory: ContainerProxy) -> None:
    """Every answer carries what the SDK and its callers read."""
    seen: dict[str, str] = {}
    await memory.create_item(an_item(), response_hook=lambda headers, _: seen.update(headers))
    assert float(seen["x-ms-request-charge"]) == 5.0
    assert seen["x-local-request-charge"] == "estimate"
    assert seen["x-ms-session-token"]
    assert seen["x-ms-activity-id"]
    assert seen["etag"]
