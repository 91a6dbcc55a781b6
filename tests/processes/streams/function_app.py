"""An app whose answers are streams of every temper, run through the bridge in the real worker."""

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
    """An ASGI application that counts what it has begun and what was cancelled."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self.released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Answer as the path says."""
        _, kind, name = scope["path"].split("/")
        self.begun.append(name)
        try:
            await getattr(self, kind)(send, name)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise

    async def paused(self, send: Send, name: str) -> None:
        """One part, and when it is released another."""
        await start(send)
        await part(send, b"first ")
        await self.released[name].wait()
        await part(send, b"second")
        await part(send, b"", more=False)

    async def endless(self, send: Send, _: str) -> None:
        """Parts for ever."""
        await start(send)
        while True:
            await part(send, PART)

    async def late(self, send: Send, name: str) -> None:
        """Nothing until it is released, then parts for ever."""
        await self.released[name].wait()
        await self.endless(send, name)

    async def broken_first(self, send: Send, _: str) -> None:  # noqa: ARG002 - it sends nothing
        """Fails before it has said anything."""
        raise RuntimeError("broken_first")

    async def broken_headed(self, send: Send, _: str) -> None:
        """Fails between the status and the first byte."""
        await start(send)
        raise RuntimeError("broken_headed")

    async def broken_midway(self, send: Send, _: str) -> None:
        """Fails after the first part."""
        await start(send)
        await part(send, b"first ")
        raise RuntimeError("broken_midway")

    async def silent(self, send: Send, _: str) -> None:
        """Ends without an answer."""

    async def unfinished(self, send: Send, _: str) -> None:
        """Ends without the last part."""
        await start(send)
        await part(send, b"first ")

    async def release(self, send: Send, name: str) -> None:
        """Let another request go on."""
        self.released[name].set()
        await self.state(send, name)

    async def state(self, send: Send, _: str) -> None:
        """What was begun and what was cancelled."""
        await start(send)
        await part(
            send,
            json.dumps({"begun": self.begun, "cancelled": self.cancelled}).encode(),
            more=False,
        )


async def start(send: Send) -> None:
    """Say that it is 200."""
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def part(send: Send, body: bytes, *, more: bool = True) -> None:
    """Send one part."""
    await send({"type": "http.response.body", "body": body, "more_body": more})


streams = Streams()
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="{*path}", methods=["GET"])
async def answer(req: Request, context: func.Context) -> Response:
    """Answer as the path says."""
    return await dispatch(streams, req, context.invocation_id)


@app.route(route="state/literal", methods=["GET"])
async def literal(req: Request) -> Response:  # noqa: ARG001 - the binding wants it
    """Prove that a literal route wins over the rest of a path, in whatever order they are declared."""
    return Response("literal")
