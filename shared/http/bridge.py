"""Runs an ASGI application inside one Azure Functions handler, with streaming kept."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any, Protocol

from azurefunctions.extensions.http.fastapi import Request, Response, StreamingResponse

PARTS_AHEAD = 8  # parts of a stream the application may be ahead of its reader
SCOPE_KEYS = frozenset(
    {
        "type",
        "asgi",
        "http_version",
        "method",
        "scheme",
        "path",
        "raw_path",
        "query_string",
        "headers",
        "client",
        "server",
        "extensions",
    }
)
Message = MutableMapping[str, Any]


class AsgiApp(Protocol):
    """An ASGI application."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Serve one request."""
        ...


async def dispatch(api: AsgiApp, request: Request, invocation_id: str) -> Response:
    """Serve the request by the application. Cancelled with the handler; a stream is cancelled with its reader.

    The application runs in a task of its own, so the invocation's context holds until the last byte.
    """
    scope = {key: value for key, value in request.scope.items() if key in SCOPE_KEYS}
    scope |= {"root_path": "", "state": {"invocation_id": invocation_id}}
    exchange = _Exchange()
    task = asyncio.create_task(_run(api, scope, request.receive, exchange))
    try:
        head = await exchange.head()
        first = await exchange.next_part()
    except BaseException:
        task.cancel()
        raise
    if first is not None and first.get("more_body"):
        response: Response = StreamingResponse(_stream(exchange, first, task), head["status"])
    else:
        await asyncio.wait({task})  # a failure after the answer was logged where it happened; the answer stands
        task.exception()
        response = Response((first or {}).get("body", b""), head["status"])
    response.raw_headers = list(head["headers"])
    return response


class _Exchange:
    """What the application has sent and nobody has read yet; bounded, so a slow reader slows the application."""

    def __init__(self) -> None:
        self._head: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._parts: asyncio.Queue[Message | None] = asyncio.Queue(PARTS_AHEAD)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head.set_result(message)
        else:
            await self._parts.put(message)

    async def end(self, failed: BaseException | None) -> None:
        if failed and not self._head.done():
            self._head.set_exception(failed)
        await self._parts.put(None)

    async def head(self) -> Message:
        return await self._head

    async def next_part(self) -> Message | None:
        return await self._parts.get()


async def _run(api: AsgiApp, scope: MutableMapping[str, Any], receive: Any, exchange: _Exchange) -> None:
    try:
        await api(scope, receive, exchange.send)
    except Exception as failed:
        await exchange.end(failed)
        raise
    await exchange.end(None)


async def _stream(exchange: _Exchange, first: Message, task: asyncio.Task[None]) -> AsyncIterator[bytes]:
    part: Message | None = first
    try:
        while part is not None:
            if part.get("body"):
                yield part["body"]
            if not part.get("more_body"):
                break
            part = await exchange.next_part()
        await task
    finally:
        task.cancel()
