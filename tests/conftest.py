"""Fixtures for all tests: a model server, a local Cosmos DB, and the application on both."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from shared.domain.deadlines import Deadlines
from tests.support.app import PATIENT, Keepsake, running
from tests.support.model_server import ModelServer
from tests.support.redis_server import RedisServer

Rows = Callable[[str], list[dict[str, Any]]]
Start = Callable[..., AbstractAsyncContextManager[Keepsake]]
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run tests on asyncio, as the app does."""
    return "asyncio"


@pytest.fixture(scope="session")
def model_server() -> Iterator[ModelServer]:
    """One scripted model per test process, on a real port."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def model(model_server: ModelServer) -> ModelServer:
    """The scripted model with an empty script."""
    model_server.reset()
    return model_server


@pytest.fixture
def cosmos() -> Iterator[LocalCosmos]:
    """An empty Cosmos DB in memory, with the containers of infra/containers.json."""
    opened = LocalCosmos.open(None, ROOT / "infra" / "containers.json")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis server per test process."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer) -> RedisServer:
    """The Redis server, running and empty."""
    redis_server.reset()
    return redis_server


@pytest.fixture
def deadlines() -> Deadlines:
    """Long deadlines; a test of deadlines parametrises its own."""
    return PATIENT


@pytest.fixture(params=["cosmos-only", "redis"])
def session_cache(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of both modes: with a session cache and without."""
    if request.param == "cosmos-only":
        return {}
    server: RedisServer = request.getfixturevalue("redis")
    return {"redis_socket": str(server.socket)}


@pytest.fixture
def embedding_model() -> str:
    """No vectors, so recall uses keywords; tests of vectors name the scripted model."""
    return ""


@pytest.fixture
def start(
    cosmos: LocalCosmos,
    model: ModelServer,
    session_cache: dict[str, Any],
    embedding_model: str,
    deadlines: Deadlines,
) -> Start:
    """Start a worker on the test's stores and model, with its own deadlines if given."""

    def start(own_deadlines: Deadlines | None = None) -> AbstractAsyncContextManager[Keepsake]:
        settings = {"embedding_model": embedding_model} | session_cache
        return running(cosmos, model, deadlines=own_deadlines or deadlines, **settings)

    return start


@pytest.fixture
async def keepsake(start: Start) -> AsyncIterator[Keepsake]:
    """The application on the local Cosmos DB and the scripted model, in both modes."""
    async with start() as app:
        yield app


@pytest.fixture
def live_rows(cosmos: LocalCosmos) -> Rows:
    """The stored documents of one kind that have not expired."""

    def read(kind: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [row for row in cosmos.rows("memory") if row["kind"] == kind]
        return [
            row for row in rows if int(row["_ts"]) + int(row.get("ttl", 10**9)) > cosmos.clock.now()
        ]

    return read


@pytest.fixture
def cosmos_rows(cosmos: LocalCosmos) -> Rows:
    """All stored documents of one kind."""
    return lambda kind: [row for row in cosmos.rows("memory") if row["kind"] == kind]
