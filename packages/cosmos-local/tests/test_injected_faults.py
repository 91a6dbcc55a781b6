"""Faults on demand, as the SDK sees them."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import AzureError, ServiceResponseTimeoutError
from azure.cosmos import exceptions
from azure.cosmos.aio import ContainerProxy, CosmosClient

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, Fault, LocalCosmos

pytestmark = pytest.mark.anyio
ITEM = {"id": "1", "user_id": "a"}


async def test_throttling_is_waited_out_by_the_sdk(
    cosmos: LocalCosmos, memory: ContainerProxy
) -> None:
    """Two 429 with a hint cost two short waits and nothing else."""
    cosmos.faults.add(Fault(status=429, kind="create", retry_after_ms=1, times=2))
    await memory.create_item(ITEM)
    assert cosmos.faults.hits() == 2


async def test_endless_throttling_reaches_the_caller(cosmos: LocalCosmos) -> None:
    """When the SDK gives up, the caller has status, substatus and hint."""
    client = CosmosClient(
        LOCAL_ENDPOINT, LOCAL_KEY, transport=cosmos.transport(), retry_throttle_total=1
    )
    cosmos.faults.add(Fault(status=429, kind="create", retry_after_ms=1, times=99))
    with pytest.raises(exceptions.CosmosHttpResponseError) as throttled:
        await (
            client.get_database_client("agent-memory")
            .get_container_client("memory")
            .create_item(ITEM)
        )
    await client.close()
    assert (throttled.value.status_code, throttled.value.sub_status) == (429, 3200)
    assert throttled.value.headers["x-ms-retry-after-ms"] == "1"
    assert cosmos.rows("memory") == []


@pytest.mark.parametrize("status", [408, 410, 449, 500, 503])
async def test_an_error_was_not_applied(
    cosmos: LocalCosmos, memory: ContainerProxy, status: int
) -> None:
    """A write answered with an error has not been done."""
    cosmos.faults.add(Fault(status=status, kind="create", times=99))
    with pytest.raises(exceptions.CosmosHttpResponseError) as failed:
        await memory.create_item(ITEM)
    assert failed.value.status_code == status
    assert cosmos.rows("memory") == []


@pytest.mark.parametrize("status", [408, 503])
async def test_an_applied_error_was_applied(
    cosmos: LocalCosmos, memory: ContainerProxy, status: int
) -> None:
    """With `applied`, the write is done and the caller is told otherwise."""
    cosmos.faults.add(Fault(status=status, kind="create", applied=True))
    with pytest.raises(exceptions.CosmosHttpResponseError):
        await memory.create_item(ITEM)
    assert len(cosmos.rows("memory")) == 1


async def test_a_broken_connection_is_sent_again_by_the_sdk(
    cosmos: LocalCosmos, memory: ContainerProxy
) -> None:
    """A broken connection reads as not sent: a create that was applied meets itself."""
    cosmos.faults.add(Fault(kind="create", applied=True))
    with pytest.raises(AzureError):
        await memory.create_item(ITEM)
    assert len(cosmos.rows("memory")) == 1


async def test_a_dropped_request_never_arrives(cosmos: LocalCosmos, memory: ContainerProxy) -> None:
    """A connection that breaks before the request is done leaves nothing."""
    cosmos.faults.add(Fault(kind="create", times=99))
    with pytest.raises(AzureError):
        await memory.create_item(ITEM)
    assert cosmos.rows("memory") == []


@pytest.mark.parametrize("applied", [True, False])
async def test_silence_lasts_until_the_read_timeout(
    cosmos: LocalCosmos, memory: ContainerProxy, *, applied: bool
) -> None:
    """A hanging request ends with the client's patience, applied or not."""
    await memory.read()
    cosmos.faults.add(Fault(kind="create", hang=True, applied=applied, times=9))
    with pytest.raises(ServiceResponseTimeoutError):
        await memory.create_item(ITEM, read_timeout=0.05)
    assert len(cosmos.rows("memory")) == (1 if applied else 0)


async def test_a_delay_longer_than_the_patience_is_a_timeout(
    cosmos: LocalCosmos, memory: ContainerProxy
) -> None:
    """An answer after the read timeout is lost, although the write is done."""
    await memory.read()
    cosmos.faults.add(Fault(kind="create", delay=5, times=9))
    with pytest.raises(ServiceResponseTimeoutError):
        await memory.create_item(ITEM, read_timeout=0.05)


async def test_only_matching_requests_are_hit(cosmos: LocalCosmos, memory: ContainerProxy) -> None:
    """Kind, path, predicate, skip and times narrow a fault down."""
    cosmos.faults.add(Fault(status=400, kind="create", path="/colls/memory/", skip=1, times=1))
    cosmos.faults.add(Fault(status=400, match=lambda request: b"poison" in request.body, times=99))
    await memory.create_item({"id": "1", "user_id": "a"})
    with pytest.raises(exceptions.CosmosHttpResponseError):
        await memory.create_item({"id": "2", "user_id": "a"})
    await memory.create_item({"id": "2", "user_id": "a"})
    with pytest.raises(exceptions.CosmosHttpResponseError):
        await memory.create_item({"id": "3", "user_id": "a", "text": "poison"})
    cosmos.faults.clear()
    await memory.create_item({"id": "3", "user_id": "a", "text": "poison"})


@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("order", ["", " ORDER BY c.id"])
async def test_short_pages_lose_nothing(
    cosmos: LocalCosmos, memory: ContainerProxy, cut: int, order: str
) -> None:
    """Short and empty pages come with a continuation that leads to the rest."""
    for number in range(4):
        await memory.create_item({"id": str(number), "user_id": "a"})
    cosmos.faults.add(Fault(kind="query", short_pages=cut, times=3))
    query = f"SELECT VALUE c.id FROM c{order}"
    found: list[Any] = [item async for item in memory.query_items(query, partition_key="a")]
    assert found == ["0", "1", "2", "3"]
    assert cosmos.faults.hits() >= 2


async def test_a_stale_replica_shows_the_version_before(
    cosmos: LocalCosmos, memory: ContainerProxy
) -> None:
    """One read lags behind, the next does not; a condition judges the newest version."""
    old = await memory.create_item(ITEM)
    new = await memory.replace_item("1", ITEM | {"n": 2})
    cosmos.faults.add(Fault(kind="read", stale=True))
    assert (await memory.read_item("1", "a"))["_etag"] == old["_etag"]
    assert (await memory.read_item("1", "a"))["_etag"] == new["_etag"]


async def test_a_stale_replica_has_not_heard_of_a_new_item(
    cosmos: LocalCosmos, memory: ContainerProxy
) -> None:
    """What was just created is 404 there, and what was just deleted is still there."""
    await memory.create_item(ITEM)
    cosmos.faults.add(Fault(kind="read", stale=True, times=2))
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await memory.read_item("1", "a")
    await memory.delete_item("1", "a")
    assert (await memory.read_item("1", "a"))["id"] == "1"
