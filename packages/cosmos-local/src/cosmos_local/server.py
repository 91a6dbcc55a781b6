"""The gateway on a socket, by http or https."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from cosmos_local.control import PREFIX, Control
from cosmos_local.database import LocalCosmos
from cosmos_local.front import Broken, Silent, finish
from cosmos_local.wire import WireRequest, WireResponse

MAX_BODY_BYTES = (
    8 * 1024 * 1024
)  # larger than anything the gateway takes, so that it can say so itself
_POLL_SECONDS = 0.05


@asynccontextmanager
async def serve(
    cosmos: LocalCosmos, port: int, *, tls: ssl.SSLContext | None = None, control: bool = False
) -> AsyncIterator[str]:
    """Listen on the loopback while the context is open; port 0 picks a free port."""
    endpoint = _Endpoint(cosmos, Control(cosmos.faults, cosmos.clock) if control else None)
    application = web.Application(client_max_size=MAX_BODY_BYTES)
    application.router.add_route("*", "/{path:.*}", endpoint.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class _Endpoint:
    """Carries requests between aiohttp and the front."""

    def __init__(self, cosmos: LocalCosmos, control: Control | None) -> None:
        self._front = cosmos.front
        self._control = control

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or break the connection where a fault says so."""
        wire = await _wire(request)
        if self._control is not None and wire.segments[:1] == [PREFIX]:
            return _response(self._control.respond(wire))
        fault = self._front.take(wire)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        outcome = await finish(self._front, wire, fault)
        if isinstance(outcome, WireResponse):
            return _response(outcome)
        if isinstance(outcome, Silent):
            await _until_gone(request)
        if isinstance(outcome, Broken) and request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)


async def _wire(request: web.BaseRequest) -> WireRequest:
    headers = {name.lower(): value for name, value in request.headers.items()}
    base = f"{request.scheme}://{request.host}"
    return WireRequest(
        request.method, request.rel_url.raw_path, headers, await request.read(), base
    )


def _response(answer: WireResponse) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


async def _until_gone(request: web.BaseRequest) -> None:
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - aiohttp has no event
        await asyncio.sleep(_POLL_SECONDS)
