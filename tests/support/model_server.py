"""The scripted model on its own thread, so that it answers while a test's event loop is busy."""

import asyncio
import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from local.model import Behaviour, ScriptedModel
from local.serving import address_of, listen, serving
from tests.support.strict_provider import violations

REFUSAL = Behaviour(status=400, body='{"error": {"code": "content_filter", "message": "no"}}')


class ModelServer:
    """A real HTTP server for a test session.

    It refuses every prompt that contains one of the `filtered` words, as a content filter does.
    """

    def __init__(self) -> None:
        """Take a free port."""
        self._front = listen(0)
        self._model = ScriptedModel(self._refuse)
        self.filtered: set[str] = set()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    @property
    def url(self) -> str:
        """The value for OPENAI_BASE_URL."""
        return f"{address_of(self._front)}/v1"

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The chat requests of this test."""
        return self._model.requests

    @property
    def script(self) -> deque[Behaviour]:
        """How to answer the next chat requests."""
        return self._model.script

    @property
    def embedding_requests(self) -> list[dict[str, Any]]:
        """The embedding requests of this test."""
        return self._model.embedding_requests

    @property
    def embedding_script(self) -> deque[Behaviour]:
        """How to answer the next embedding requests."""
        return self._model.embedding_script

    @property
    def chunks_sent(self) -> int:
        """Chunks of streamed answers sent in this test session."""
        return self._model.chunks_sent

    async def until_idle(self) -> None:
        """Wait until no stream is open.

        Raises:
            TimeoutError: after ten seconds.
        """
        async with asyncio.timeout(10):
            while self._model.streams_open:  # noqa: ASYNC110 - the server is on another thread
                await asyncio.sleep(0.005)

    def reset(self) -> None:
        """Clear scripts, requests and filtered words."""
        self.filtered.clear()
        for script in (self._model.script, self._model.embedding_script):
            script.clear()
        for requests in (self._model.requests, self._model.embedding_requests):
            requests.clear()

    def slow_next(self, seconds: float) -> None:
        """Answer the next request this many seconds later."""
        self.script.append(Behaviour(delay=seconds))

    def fail_next(self, status: int) -> None:
        """Answer the next request with this error."""
        self.script.append(Behaviour(status=status, body="{}"))

    async def wait_for_requests(self, count: int) -> None:
        """Wait until this number of chat requests has arrived.

        Raises:
            TimeoutError: not within ten seconds.
        """
        await _until_seen(self.requests, count)

    async def wait_for_embedding_requests(self, count: int) -> None:
        """Wait until this number of embedding requests has arrived.

        Raises:
            TimeoutError: not within ten seconds.
        """
        await _until_seen(self.embedding_requests, count)

    def __enter__(self) -> Self:
        """Start serving."""
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        if self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _refuse(self, request: Mapping[str, Any]) -> Mapping[str, str] | None:
        if broken := violations(request):
            return {"message": "; ".join(broken), "param": "messages"}
        prompt = str(request["messages"])
        if any(word in prompt for word in self.filtered):
            return {"message": "The prompt was filtered", "code": "content_filter"}
        return None

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with serving(self._model.app, self._front):
            self._ready.set()
            await self._stop.wait()


async def _until_seen(requests: list[dict[str, Any]], count: int) -> None:
    async with asyncio.timeout(10):
        while len(requests) < count:  # noqa: ASYNC110 - the server is on another thread
            await asyncio.sleep(0.005)
