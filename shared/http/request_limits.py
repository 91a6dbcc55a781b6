"""Request ids and the limit of body sizes."""

from dataclasses import dataclass
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 2_097_152  # the largest valid turn with every character escaped in JSON


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Middleware that gives each request an id and stops reading its body at 2 MB.

    The id is the Functions invocation id, if there is one.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = state.get("invocation_id") or str(uuid4())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-ms-request-id"] = state["request_id"]
                # Caches ignore the headers that a response depends on: those that name the user.
                headers.setdefault("cache-control", "no-store")
            await send(message)

        content_length = Headers(scope=scope).get("content-length", "")
        await self.app(scope, _limit(receive, content_length), send_with_id)


def _limit(receive: Receive, content_length: str) -> Receive:
    read = 0

    async def receive_limited() -> Message:
        nonlocal read
        if content_length.isdecimal() and int(content_length) > MAX_BODY_BYTES:
            raise _too_large()
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY_BYTES:
            raise _too_large()
        return message

    return receive_limited


def _too_large() -> HTTPException:
    return HTTPException(413, f"The request body exceeds {MAX_BODY_BYTES} bytes; send less")
