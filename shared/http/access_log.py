"""The application seen from outside: one span and one log line per request, whatever becomes of it."""

import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.telemetry import log_event
from shared.telemetry.meter import Meter, start_meter
from shared.telemetry.notes import Notes, start_notes
from shared.telemetry.spans import name_request, request_span

PREFIX = "/api"  # what every route stands behind
CLIENT_LEFT = 499  # nobody was there to be given a status; the number proxies log for it


class AccessLog:
    """Watches requests from before the first of their bytes is read until after the last of the answer is sent."""

    def __init__(self, app: ASGIApp, until_exporting: Callable[[], Awaitable[None]]) -> None:
        """Wrap an application; a span that begins before there is an exporter would be nobody's."""
        self._app = app
        self._until_exporting = until_exporting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = _Seen(scope)
        await self._until_exporting()

        async def send_seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                seen.error = Headers(raw=message["headers"]).get("x-ms-error-code")
            await send(message)

        with request_span(
            scope["method"], Headers(scope=scope).get("traceparent"), seen.began
        ) as span:
            try:
                await self._app(scope, receive, send_seen)
            except CancelledError:
                seen.leave()
                raise
            except Exception:
                seen.break_down()
                raise
            finally:
                seen.log(scope)
                name_request(span, _operation(scope), _route(scope), seen.status, seen.failure)


class _Seen:
    """What becomes of one request."""

    __slots__ = ("error", "meter", "notes", "start", "status")

    def __init__(self, scope: Scope) -> None:
        self.start: float = scope.get("state", {}).get("came", time.perf_counter())
        self.meter: Meter = start_meter()
        self.notes: Notes = start_notes()
        self.status = 0
        self.error: str | None = None

    @property
    def began(self) -> int:
        """When it came, in nanoseconds since 1970."""
        return time.time_ns() - int((time.perf_counter() - self.start) * 1e9)

    @property
    def failure(self) -> str | None:
        """What of it was our failure: a status beyond 500, or a stream's error."""
        ended = self.notes.stream_ended
        if ended not in {None, "done", "left"}:
            return ended
        return (self.error or str(self.status)) if self.status >= 500 else None  # noqa: PLR2004

    def leave(self) -> None:
        self.status = self.status or CLIENT_LEFT
        self.notes.stream_ended = self.notes.stream_ended or "left"

    def break_down(self) -> None:
        self.status, self.error = 500, "internal_error"

    def log(self, scope: Scope) -> None:
        meter, notes = self.meter, self.notes
        ended = notes.stream_ended
        log_event(
            "request",
            operation=_operation(scope),
            status=self.status,
            error_code=self.error if ended in {None, "done", "left"} else ended,
            stream=ended,
            ms=round((time.perf_counter() - self.start) * 1000, 1),
            actor=notes.actor,
            subject=notes.subject,
            replayed=notes.replayed,
            degraded=",".join(notes.degraded) or None,
            prompt_tokens=meter.prompt_tokens,
            completion_tokens=meter.completion_tokens,
            embedding_tokens=meter.embedding_tokens,
            request_units=round(meter.request_units, 2),
            cosmos_calls=meter.cosmos_calls,
            redis_calls=meter.redis_calls,
            model_calls=meter.model_calls,
            request_id=scope["state"].get("request_id"),
        )


def _operation(scope: Scope) -> str:
    """The operation's id in the OpenAPI document; what reached none has no name that a caller could choose."""
    return getattr(scope.get("route"), "operation_id", None) or "unmatched"


def _route(scope: Scope) -> str | None:
    """The path with names for what callers put into it."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path and f"{PREFIX}{path}"
