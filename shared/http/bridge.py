"""The bridge from an Azure Functions handler to an ASGI application, including streaming."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any, Protocol

from azurefunctions.extensions.http.fastapi import Request, Response, StreamingResponse

MAX_BUFFERED_PARTS = 8  # parts that the application may send ahead of a slow client
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
Sent = asyncio.Queue[Message | Exception]  # what the application has sent, until it is read


class IncompleteResponse(RuntimeError):
    """The application ended before its response was complete."""


class AsgiApp(Protocol):
    """An ASGI application."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Serve one request."""
        ...


async def dispatch(api: AsgiApp, request: Request, invocation_id: str) -> Response:
    """Let the application serve the request, in its own task, so that its context outlives this.

    The task is cancelled with the handler, and during a stream when the client disconnects. An
    exception before the first byte is raised here; a later one breaks the stream, unless the
    response is already complete.

    Raises:
        IncompleteResponse: the application ended without a response and without an exception.
    """
    scope = {key: value for key, value in request.scope.items() if key in SCOPE_KEYS}
    scope |= {"root_path": "", "state": {"invocation_id": invocation_id}}
    sent: Sent = asyncio.Queue(MAX_BUFFERED_PARTS)
    task = asyncio.create_task(_run(api, scope, request.receive, sent))
    try:
        head = await _next(sent)
        first = await _next(sent)
        if not first.get("more_body"):
            await asyncio.wait({task})
    except BaseException:
        task.cancel()
        raise
    if first.get("more_body"):
        response: Response = StreamingResponse(_stream(sent, first, task), head["status"])
    else:
        response = Response(first.get("body", b""), head["status"])
    response.raw_headers = list(head["headers"])
    return response


async def _run(api: AsgiApp, scope: MutableMapping[str, Any], receive: Any, sent: Sent) -> None:
    try:
        await api(scope, receive, sent.put)
    except Exception as failed:  # noqa: BLE001 - raised by the reader, which may be waiting
        await sent.put(failed)
    else:
        await sent.put(IncompleteResponse())  # not read if the response was complete


async def _next(sent: Sent) -> Message:
    message = await sent.get()
    if isinstance(message, Exception):
        raise message
    return message


async def _stream(sent: Sent, part: Message, task: asyncio.Task[None]) -> AsyncIterator[bytes]:
    try:
        while part.get("more_body"):
            if part.get("body"):
                yield part["body"]
            await asyncio.sleep(0)  # lets a disconnect cancel this even if parts never run out
            part = await _next(sent)
        if part.get("body"):
            yield part["body"]
        await asyncio.wait({task})
    finally:
        task.cancel()
