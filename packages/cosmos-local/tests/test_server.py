"""The same database over http and https, as its own program, and after a restart."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import ContainerProxy, CosmosClient

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, DatabaseInUseError, LocalCosmos
from cosmos_local.certificate import server_context
from cosmos_local.server import serve

pytestmark = pytest.mark.anyio
DECLARATION = Path(__file__).parent / "containers.json"


class Token:
    """A credential with a made-up Entra token."""

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Return an unsigned token."""
        return AccessToken("eyJhbGciOiJub25lIn0.e30.", int(time.time()) + 3600)

    async def close(self) -> None:
        """Hold nothing."""

    async def __aenter__(self) -> Self:
        """Be a context, as credentials are."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Release nothing."""


@asynccontextmanager
async def connected(
    url: str, credential: Any = LOCAL_KEY, **options: Any
) -> AsyncIterator[ContainerProxy]:
    """Connect the SDK and give its container."""
    client = CosmosClient(url, credential, connection_verify=False, **options)
    try:
        await client.__aenter__()
        yield client.get_database_client("agent-memory").get_container_client("memory")
    finally:
        await client.close()


@pytest.mark.parametrize("secure", [True, False])
async def test_the_sdk_connects_without_options(
    cosmos: LocalCosmos, tmp_path: Path, *, secure: bool
) -> None:
    """Over http and https the account points back to the address that was asked."""
    tls = server_context(tmp_path) if secure else None
    async with serve(cosmos, 0, tls=tls) as url, connected(url) as memory:
        await memory.create_item(
            {"id": "ü/x".replace("/", ":"), "user_id": "a", "embedding": [0.1] * 512}
        )
        assert (await memory.read_item("ü:x", "a"))["embedding"] == [0.1] * 512
    assert url.startswith("https" if secure else "http:")


async def test_a_large_body_gets_the_services_answer(cosmos: LocalCosmos) -> None:
    """A body over the limit reaches the gateway, which judges it, not the web server."""
    async with serve(cosmos, 0) as url, connected(url) as memory:
        await memory.read()
        signed = {"authorization": "type%3Dmaster%26ver%3D1.0%26sig%3Dnone"}
        body = io.BytesIO(b'{"id": "1", "user_id": "a", "text": "' + b"x" * 3_000_000 + b'"}')
        async with aiohttp.ClientSession() as web:
            answer = await web.post(
                f"{url}/dbs/agent-memory/colls/memory/docs", headers=signed, data=body
            )
            assert (await answer.json())["code"] == "Unauthorized"


async def test_an_entra_token_works_on_data_only(tmp_path: Path) -> None:
    """A token reads and writes items, and may not create containers: data-plane roles cannot."""
    cosmos = LocalCosmos.open(None, DECLARATION, allow_create=True)
    async with (
        serve(cosmos, 0, tls=server_context(tmp_path)) as url,
        connected(url, Token()) as memory,
    ):
        await memory.create_item({"id": "1", "user_id": "a"})
        assert [
            item["id"] async for item in memory.query_items("SELECT * FROM c", partition_key="a")
        ] == ["1"]
        with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
            await memory.client_connection.CreateContainer("dbs/agent-memory", {"id": "x"})
    cosmos.close()
    assert refused.value.status_code == 403


async def test_entra_tokens_can_be_refused(cosmos: LocalCosmos, tmp_path: Path) -> None:
    """A server that takes keys only answers 401."""
    cosmos.gateway.authority.entra = False
    async with serve(cosmos, 0, tls=server_context(tmp_path)) as url:
        with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
            async with connected(url, Token()) as memory:
                await memory.read()
    assert refused.value.status_code == 401


async def test_containers_can_be_made_where_that_is_allowed() -> None:
    """With --allow-create, containers live and die by the SDK; what is fixed stays fixed."""
    cosmos = LocalCosmos.open(None, DECLARATION, allow_create=True)
    client = CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=cosmos.transport())
    database = await client.create_database("own")
    made = await database.create_container(
        "c",
        PartitionKey(path=["/t", "/u"]),
        unique_key_policy={"uniqueKeys": [{"paths": ["/mail"]}]},  # type: ignore[dict-item]
    )
    await made.create_item({"id": "1", "t": "x", "u": "a", "mail": "m"})
    await made.create_item({"id": "1", "t": "x", "u": "b", "mail": "m"})
    with pytest.raises(exceptions.CosmosResourceExistsError):
        await made.create_item({"id": "2", "t": "x", "u": "a", "mail": "m"})
    found = [item["u"] async for item in made.query_items("SELECT * FROM c", partition_key=["x"])]
    assert sorted(found) == ["a", "b"]
    await database.replace_container(made, PartitionKey(path=["/t", "/u"]), default_ttl=7)
    assert (await made.read())["defaultTtl"] == 7
    assert len([item async for item in made.read_all_items()]) == 2
    with pytest.raises(exceptions.CosmosHttpResponseError):
        await database.replace_container(made, PartitionKey(path="/other"))
    await database.delete_container("c")
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await made.read_item("1", ["x", "a"])
    await client.close()
    cosmos.close()


async def test_the_control_api_is_off_unless_asked_for(cosmos: LocalCosmos) -> None:
    """Without the option, faults cannot be set and the clock cannot be moved."""
    async with serve(cosmos, 0) as url, aiohttp.ClientSession() as web:
        answer = await web.post(f"{url}/_local/clock", json={"advance": 60})
        assert answer.status == 401
    async with serve(cosmos, 0, control=True) as url, aiohttp.ClientSession() as web:
        before = (await (await web.get(f"{url}/_local/state")).json())["now"]
        after = (await (await web.post(f"{url}/_local/clock", json={"advance": 60})).json())["now"]
        assert after - before >= 60


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "kind": "create", "times": 9},
        {"kind": "create", "times": 9},
        {"kind": "create", "hang": True, "times": 9},
    ],
)
async def test_faults_work_over_a_socket(cosmos: LocalCosmos, fault: dict[str, object]) -> None:
    """Errors, broken connections and silence are the same behind a real port."""
    async with serve(cosmos, 0, control=True) as url, aiohttp.ClientSession() as web:
        async with connected(url) as memory:
            await memory.read()
            assert (await web.post(f"{url}/_local/faults", json=fault)).status == 200
            with pytest.raises(AzureError):
                await memory.create_item({"id": "1", "user_id": "a"}, read_timeout=0.2)
        assert (await web.delete(f"{url}/_local/faults")).status == 200
    assert cosmos.rows("memory") == []


@pytest.mark.parametrize(
    "fault", [{"statsu": 503}, {"times": "3"}, {"applied": 1}, {"status": 5.5}]
)
async def test_a_misspelt_fault_is_refused(cosmos: LocalCosmos, fault: dict[str, object]) -> None:
    """A fault that would never fire is 400."""
    async with serve(cosmos, 0, control=True) as url, aiohttp.ClientSession() as web:
        assert (await web.post(f"{url}/_local/faults", json=fault)).status == 400


async def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """Items, ETags, expiry and half-read pages go on with the next process."""
    path = tmp_path / "deep" / "cosmos.db"
    cosmos = LocalCosmos.open(path, DECLARATION)
    client = CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=cosmos.transport())
    memory = client.get_database_client("agent-memory").get_container_client("memory")
    stored = [
        await memory.create_item({"id": str(number), "user_id": "a", "ttl": 3600})
        for number in range(3)
    ]
    pages: Any = memory.query_items(
        "SELECT VALUE c.id FROM c", partition_key="a", max_item_count=2
    ).by_page()
    first = [item async for item in await anext(pages)]
    token = pages.continuation_token
    await client.close()
    cosmos.close()

    cosmos = LocalCosmos.open(path, DECLARATION)
    client = CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=cosmos.transport())
    memory = client.get_database_client("agent-memory").get_container_client("memory")
    again = memory.query_items(
        "SELECT VALUE c.id FROM c", partition_key="a", max_item_count=2
    ).by_page(token)
    rest: list[Any] = [item async for page in again async for item in page]
    assert first + rest == ["0", "1", "2"]
    assert await memory.read_item("0", "a") == stored[0]
    cosmos.clock.advance(3601)
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await memory.read_item("0", "a")
    await client.close()
    cosmos.close()


async def test_one_file_has_one_owner(tmp_path: Path) -> None:
    """A second opening is refused with a clear message."""
    cosmos = LocalCosmos.open(tmp_path / "cosmos.db", DECLARATION)
    with pytest.raises(DatabaseInUseError, match="in use"):
        LocalCosmos.open(tmp_path / "cosmos.db", DECLARATION)
    cosmos.close()


async def test_a_changed_partition_key_is_not_declared_over_old_data(tmp_path: Path) -> None:
    """A declaration that contradicts what is stored stops the start."""
    declaration = json.loads(DECLARATION.read_text())
    LocalCosmos.open(tmp_path / "cosmos.db", declaration).close()
    declaration["containers"][0]["partitionKey"]["paths"] = ["/other"]
    with pytest.raises(Exception, match="partitionKey"):
        LocalCosmos.open(tmp_path / "cosmos.db", declaration)


async def test_it_runs_as_a_program(tmp_path: Path) -> None:
    """`cosmos-local` serves, says where, and ends on SIGTERM."""
    faults = tmp_path / "faults.json"
    faults.write_text('[{"status": 429, "kind": "create", "retry_after_ms": 1}]')
    arguments = [
        "--faults",
        str(faults),
        "--ranges",
        "2",
        "--port",
        "0",
        "--data",
        str(tmp_path / "cosmos.db"),
        "--certificates",
        str(tmp_path),
        "--declaration",
        str(DECLARATION),
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cosmos_local", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().split()[0]
    async with connected(url) as memory:
        await memory.create_item({"id": "1", "user_id": "a"})
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0
    cosmos = LocalCosmos.open(tmp_path / "cosmos.db", DECLARATION)
    assert [row["id"] for row in cosmos.rows("memory")] == ["1"]
    cosmos.close()


@pytest.mark.parametrize(
    "arguments", [["--ranges", "17"], ["--ranges", "many"], ["--faults", "none.json"]]
)
async def test_an_option_that_is_wrong_stops_the_start(arguments: list[str]) -> None:
    """A number of ranges or a file of faults that cannot be is named, and nothing is served."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cosmos_local", *arguments), stderr=asyncio.subprocess.PIPE
    )
    _, error = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, arguments[1].encode() in error) == (2, True)
