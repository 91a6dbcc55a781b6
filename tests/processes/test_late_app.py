"""The app is built in the background: once for all requests, and again if that failed."""

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import SecretStr

from shared.bootstrap.startup import paused_garbage_collector
from shared.http.late_app import LateApp
from shared.settings import Settings, SettingsError
from tests.support.app import local_settings
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio

QUEUE = {"queue_endpoint": "http://127.0.0.1:9/none", "queue_key": "bm9uZQ=="}


@pytest.fixture
def settings(model: ModelServer) -> Settings:
    """Settings of an app that can be built."""
    return local_settings(model, **QUEUE)


@pytest.fixture
def unbuildable(settings: Settings) -> Settings:
    """Settings with a key that is not a secret, which makes the build fail."""
    return settings.model_copy(update={"log_digest_key": "key"})


def test_the_app_is_built_once_for_all_waiting_requests(settings: Settings) -> None:
    """The prefetch and all requests that arrive meanwhile get the same app."""
    key = ObservedKey("key")
    late_app = LateApp(settings.model_copy(update={"log_digest_key": key}))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: asyncio.run(late_app.ready()), range(8)))
    assert (key.revealed, len(set(map(id, found)))) == (1, 1)
    assert found[0].api.state.composition is found[0].composition


class ObservedKey(SecretStr):
    """A key whose first read waits for a second one, so that a concurrent build would be seen."""

    def __init__(self, secret: str) -> None:
        """Start with no reads."""
        super().__init__(secret)
        self.revealed = 0
        self.read_twice = threading.Event()

    def get_secret_value(self) -> str:
        """Count, and wait."""
        self.revealed += 1
        if self.revealed > 1:
            self.read_twice.set()
        self.read_twice.wait(0.5)
        return super().get_secret_value()


async def test_an_early_request_is_served(settings: Settings) -> None:
    """A request waits for the app and is answered; the time of its arrival is recorded."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/api/health",
        "query_string": b"",
        "headers": [],
    }
    before = time.perf_counter()
    await LateApp(settings).serve(scope, receive, send)
    assert sent[0]["status"] == 200
    assert before <= scope["state"]["received_at"] < time.perf_counter()


async def test_a_failed_build_fails_each_waiting_request(unbuildable: Settings) -> None:
    """The next request tries to build the app again, and fails with the error too."""
    late_app = LateApp(unbuildable)
    for _ in range(2):
        with pytest.raises(AttributeError):
            await late_app.ready()


def test_the_garbage_collector_is_paused_during_imports() -> None:
    """A collection would stop every thread; imported modules are frozen afterwards."""
    gc.unfreeze()
    with paused_garbage_collector():
        paused = not gc.isenabled()
    assert (paused, gc.isenabled(), gc.get_freeze_count() > 0) == (True, True, True)


def test_a_failed_prefetch_resumes_the_garbage_collector(unbuildable: Settings) -> None:
    """An instance that cannot serve must not run without garbage collection."""
    with pytest.raises(AttributeError):
        LateApp(unbuildable).prefetch()
    assert gc.isenabled()


def test_without_a_queue_the_app_does_not_start(model: ModelServer) -> None:
    """Indexing fails, instead of the first request."""
    with pytest.raises(SettingsError, match="QUEUE_ENDPOINT"):
        LateApp(local_settings(model))
