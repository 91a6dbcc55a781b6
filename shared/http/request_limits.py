"""The outermost layer of the application: every request gets a name, no body passes the cap."""

from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 2_097_152  # the largest legal turn, with every character escaped as JSON allows


class RequestLimits:
    """Names requests (the Functions invocation id where there is one) and stops reading at 2 MB."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = state.get("invocation_id") or str(uuid4())

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-ms-request-id"] = state["request_id"]
                headers.setdefault(
                    "cache-control", "no-store"
                )  # whose answer it is stands in headers caches ignore
            await send(message)

        await self._app(
            scope, _capped(receive, Headers(scope=scope).get("content-length", "")), send_named
        )


def _capped(receive: Receive, announced: str) -> Receive:
    read = 0

    async def receive_capped() -> Message:
        nonlocal read
        if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
            raise _too_large()
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY_BYTES:
            raise _too_large()
        return message

    return receive_capped


def _too_large() -> HTTPException:
    return HTTPException(413, f"A request body may have {MAX_BODY_BYTES} bytes")
