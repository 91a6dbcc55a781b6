"""The application on a real port, on its own thread."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from cosmos_local import LocalCosmos
from local.serving import address_of, listen, serving
from tests.support.app import ModelUrl, running

ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def served(model: ModelUrl) -> Iterator[str]:
    """Serve the application on an empty local Cosmos DB; yields its address."""
    started: Future[str] = Future()
    stopped = asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: _run(loop, model, started, stopped))
    thread.start()
    try:
        yield started.result(timeout=20)
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()


def _run(
    loop: asyncio.AbstractEventLoop, model: ModelUrl, started: Future[str], stopped: asyncio.Event
) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_serve(model, started, stopped))


async def _serve(model: ModelUrl, started: Future[str], stopped: asyncio.Event) -> None:
    cosmos = LocalCosmos.open(None, ROOT / "infra" / "containers.json")
    with listen(0) as front:
        async with running(cosmos, model) as app, serving(app.api, front):
            started.set_result(address_of(front))
            await stopped.wait()
    cosmos.close()
