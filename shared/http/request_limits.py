"""Request ids and the limit of body sizes."""

from dataclasses import dataclass
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 2_097_152  # the largest valid turn with every character escaped in JSON
MAX_SMALL_BODY_BYTES = 16_384  # of operations that are not named here
MAX_BODY_BYTES_OF = {  # by operation: the largest valid body with every character escaped
    "chat": MAX_BODY_BYTES,
    "put_turn": MAX_BODY_BYTES,
    "put_data": 1_048_576,
    "replace_preferences": 524_288,
    "update_preferences": 524_288,
    "preview_context": 524_288,
}


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Middleware that gives each request an id and stops reading any body at 2 MB.

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

        await self.app(scope, limited(receive, scope, MAX_BODY_BYTES), send_with_id)


def limited(receive: Receive, scope: Scope, max_bytes: int) -> Receive:
    """Read no more of a body than this; nothing, if its stated length exceeds it.

    Reading further raises a 413 that names the limit.
    """
    content_length, read = Headers(scope=scope).get("content-length", ""), 0

    async def receive_limited() -> Message:
        nonlocal read
        if content_length.isdecimal() and int(content_length) > max_bytes:
            raise _too_large(max_bytes)
        message = await receive()
        read += len(message.get("body", b""))
        if read > max_bytes:
            raise _too_large(max_bytes)
        return message

    return receive_limited


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"The request body exceeds {max_bytes} bytes; send less")
