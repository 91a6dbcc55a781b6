"""The app that is built beside the first request: once, for whoever waits, and again if it failed."""

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
    """Of an app that can be built."""
    return local_settings(model, **QUEUE)


@pytest.fixture
def unbuildable(settings: Settings) -> Settings:
    """What no environment can say: a key that is no secret, on which building stumbles."""
    return settings.model_copy(update={"log_digest_key": "key"})


def test_it_is_built_once_for_all_who_wait(settings: Settings) -> None:
    """Those who come while it is built, the prefetch and any request, find the same app."""
    key = LonelyKey("key")
    late = LateApp(settings.model_copy(update={"log_digest_key": key}))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: asyncio.run(late.ready()), range(8)))
    assert (key.revealed, len(set(map(id, found)))) == (1, 1)
    assert found[0].api.state.composition is found[0].composition


class LonelyKey(SecretStr):
    """A key that waits for a second one who asks, so that whoever else is let in to build meets it."""

    def __init__(self, secret: str) -> None:
        """Nobody has asked yet."""
        super().__init__(secret)
        self.revealed = 0
        self.asked_twice = threading.Event()

    def get_secret_value(self) -> str:
        """Count, and wait."""
        self.revealed += 1
        if self.revealed > 1:
            self.asked_twice.set()
        self.asked_twice.wait(0.5)
        return super().get_secret_value()


async def test_a_request_that_comes_first_is_served(settings: Settings) -> None:
    """It waits for the application, and is answered; when it came is known."""
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
    assert before <= scope["state"]["came"] < time.perf_counter()


async def test_what_cannot_be_built_fails_each_request_that_waits(unbuildable: Settings) -> None:
    """The first failure is not the last word: the next request tries again, and is told as well."""
    late = LateApp(unbuildable)
    for _ in range(2):
        with pytest.raises(AttributeError):
            await late.ready()


def test_the_garbage_collector_is_paused_while_modules_are_imported() -> None:
    """Each of its passes would stop every thread; what was imported is frozen afterwards."""
    gc.unfreeze()
    with paused_garbage_collector():
        paused = not gc.isenabled()
    assert (paused, gc.isenabled(), gc.get_freeze_count() > 0) == (True, True, True)


def test_a_prefetch_that_fails_wakes_the_garbage_collector(unbuildable: Settings) -> None:
    """An instance that cannot serve does not also fill its memory."""
    with pytest.raises(AttributeError):
        LateApp(unbuildable).prefetch()
    assert gc.isenabled()


def test_without_a_queue_it_does_not_start(model: ModelServer) -> None:
    """Whoever indexes the app is told, not who sends the first request."""
    with pytest.raises(SettingsError, match="QUEUE_ENDPOINT"):
        LateApp(local_settings(model))
