"""A test app whose responses are streams of several kinds, served through the bridge."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.http.bridge import dispatch

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
PART = b"x" * 65_536


class Streams:
    """An ASGI application that records which requests have started and which were cancelled."""

    def __init__(self) -> None:
        """Start with no requests."""
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Respond as the path says."""
        _, kind, name = scope["path"].split("/")
        self.started.append(name)
        try:
            await getattr(self, kind)(send, name)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise

    async def paused(self, send: Send, name: str) -> None:
        """Send one part, and another when released."""
        await start(send)
        await part(send, b"first ")
        await self.released[name].wait()
        await part(send, b"second")
        await part(send, b"", more=False)

    async def endless(self, send: Send, _: str) -> None:
        """Send parts forever."""
        await start(send)
        while True:
            await part(send, PART)

    async def late(self, send: Send, name: str) -> None:
        """Send nothing until released, then parts forever."""
        await self.released[name].wait()
        await self.endless(send, name)

    async def broken_first(self, send: Send, _: str) -> None:  # noqa: ARG002 - it sends nothing
        """Fail before sending anything."""
        raise RuntimeError("broken_first")

    async def broken_headed(self, send: Send, _: str) -> None:
        """Fail between the status and the first byte."""
        await start(send)
        raise RuntimeError("broken_headed")

    async def broken_midway(self, send: Send, _: str) -> None:
        """Fail after the first part."""
        await start(send)
        await part(send, b"first ")
        raise RuntimeError("broken_midway")

    async def silent(self, send: Send, _: str) -> None:
        """End without a response."""

    async def unfinished(self, send: Send, _: str) -> None:
        """End without the last part."""
        await start(send)
        await part(send, b"first ")

    async def release(self, send: Send, name: str) -> None:
        """Let another request continue."""
        self.released[name].set()
        await self.state(send, name)

    async def state(self, send: Send, _: str) -> None:
        """Send which requests have started and which were cancelled."""
        await start(send)
        await part(
            send,
            json.dumps({"started": self.started, "cancelled": self.cancelled}).encode(),
            more=False,
        )


async def start(send: Send) -> None:
    """Start a response with status 200."""
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def part(send: Send, body: bytes, *, more: bool = True) -> None:
    """Send one part."""
    await send({"type": "http.response.body", "body": body, "more_body": more})


streams = Streams()
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="{*path}", methods=["GET"])
async def answer(req: Request, context: func.Context) -> Response:
    """Respond as the path says."""
    return await dispatch(streams, req, context.invocation_id)


@app.route(route="state/literal", methods=["GET"])
async def literal(req: Request) -> Response:  # noqa: ARG001 - required by the binding
    """Prove that a literal route precedes a catch-all one, in whatever order they are declared."""
    return Response("literal")
