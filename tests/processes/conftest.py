"""The real worker on a local Cosmos DB server and a scripted model, once per test process."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cosmos_local import LOCAL_KEY
from devtools.front import FUNCTION_KEY
from tests.support.azurite import Azurite, can_run
from tests.support.model_server import ModelServer
from tests.support.processes import server

# nothing listens at this address
NO_QUEUE = {"QUEUE_ENDPOINT": "http://127.0.0.1:9/none", "QUEUE_KEY": "bm9uZQ=="}


@pytest.fixture(scope="session")
def cosmos_address() -> Iterator[str]:
    """A local Cosmos DB server, empty."""
    declared = ("--declaration", "infra/containers.json")
    with server("-m", "cosmos_local", "--http", "--port", "0", "--control", *declared) as line:
        yield line.split()[0]


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite | None]:
    """The queue service, if it is installed."""
    if not can_run():
        yield None
        return
    with Azurite() as running:
        yield running


@pytest.fixture(scope="session")
def worker_settings(
    cosmos_address: str, model_server: ModelServer, azurite: Azurite | None
) -> dict[str, str]:
    """The app's settings in local mode, with its stores."""
    queue = azurite.settings if azurite else NO_QUEUE
    return {
        **queue,
        "AUTH_MODE": "local",
        "COSMOS_ENDPOINT": cosmos_address,
        "COSMOS_KEY": LOCAL_KEY,
        "OPENAI_BASE_URL": model_server.url,
        "OPENAI_API_KEY": "none",
        "CHAT_MODEL": "scripted",
    }


@pytest.fixture(scope="session")
def worker(worker_settings: dict[str, str]) -> Iterator[httpx.Client]:
    """The app in the real worker, as a client of the host with the function key."""
    yield from _serve_app(worker_settings)


@pytest.fixture(scope="session")
def entra_worker(worker_settings: dict[str, str]) -> Iterator[httpx.Client]:
    """The app in the real worker with AUTH_MODE=entra. The client has no function key."""
    entra = {
        "AUTH_MODE": "entra",
        "ENTRA_TENANT_IDS": "00000000-0000-0000-0000-000000000001",
        "ENTRA_AUDIENCE": "api",
    }
    for client in _serve_app(worker_settings | entra):
        del client.headers["x-functions-key"]
        yield client


@pytest.fixture(scope="session")
def key_worker(worker_settings: dict[str, str]) -> Iterator[httpx.Client]:
    """The app in the real worker with AUTH_MODE=key. The client has the function key."""
    yield from _serve_app(worker_settings | {"AUTH_MODE": "key"})


@pytest.fixture(scope="session")
def streams() -> Iterator[httpx.Client]:
    """A test app of streams in the real worker."""
    yield from _serve_app({}, Path(__file__).parent / "streams")


def _serve_app(settings: dict[str, str], folder: Path | None = None) -> Iterator[httpx.Client]:
    options = {} if folder is None else {"folder": folder}
    with (
        server(
            "-W", "error", "-m", "devtools.functions", "--port", "0", settings=settings, **options
        ) as address,
        httpx.Client(
            base_url=address, headers={"x-functions-key": FUNCTION_KEY}, timeout=20
        ) as client,
    ):
        yield client
