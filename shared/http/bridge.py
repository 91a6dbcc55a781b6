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
Sent = asyncio.Queue[Message | Exception]  # what the application has sent and nobody has read yet


class BrokenOff(RuntimeError):
    """The application ended without a whole answer."""


class AsgiApp(Protocol):
    """An ASGI application."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Serve one request."""
        ...


async def dispatch(api: AsgiApp, request: Request, invocation_id: str) -> Response:
    """Serve the request by the application. Cancelled with the handler; a stream is cancelled with its reader.

    The application runs in a task of its own, so the invocation's context holds until the last byte. What it raises
    before its first byte is raised here, and after that it breaks the stream; once the answer is whole, it stands.

    Raises:
        BrokenOff: the application ended before its first byte, without saying why.
    """
    scope = {key: value for key, value in request.scope.items() if key in SCOPE_KEYS}
    scope |= {"root_path": "", "state": {"invocation_id": invocation_id}}
    sent: Sent = asyncio.Queue(PARTS_AHEAD)  # bounded, so a slow reader slows the application
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
    except Exception as failed:  # noqa: BLE001 - it is for the reader, who may still wait for a part
        await sent.put(failed)
    else:
        await sent.put(BrokenOff())  # nobody reads it if the answer was whole


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
            await asyncio.sleep(
                0
            )  # a reader that left is noticed even if the next part is always there already
            part = await _next(sent)
        if part.get("body"):
            yield part["body"]
        await asyncio.wait({task})
    finally:
        task.cancel()
