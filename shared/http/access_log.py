"""The access log: one span and one log line per request, however it ends."""

import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.domain.ids import UserId
from shared.telemetry import log_event
from shared.telemetry.meter import Meter, start_meter
from shared.telemetry.notes import Notes, start_notes
from shared.telemetry.spans import name_request, request_span

PREFIX = "/api"  # of every route
CLIENT_CLOSED_REQUEST = 499  # the status that proxies log when a client disconnects early
SERVER_ERROR = 500
NO_FAILURE = {None, "done", "left"}  # ways for a stream to end


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Middleware that observes a request from its first byte to the last byte of the response.

    It awaits `until_exporting` first: spans that start earlier would be lost. What the request has
    spent is counted for its user in the end.
    """

    app: ASGIApp
    until_exporting: Callable[[], Awaitable[None]]
    count_spending: Callable[[UserId, Meter], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        observed = _Observed(scope)
        await self.until_exporting()

        async def observe_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                observed.status = message["status"]
                observed.error = Headers(raw=message["headers"]).get("x-ms-error-code")
            await send(message)

        traceparent = Headers(scope=scope).get("traceparent")
        with request_span(scope["method"], traceparent, observed.started_at) as span:
            try:
                await self.app(scope, receive, observe_send)
            except CancelledError:
                observed.mark_disconnected()
                raise
            except Exception:
                observed.mark_failed()
                raise
            finally:
                observed.log(scope)
                if user := scope["state"].get("user"):
                    self.count_spending(user, observed.meter)
                status, failure = observed.status, observed.failure
                name_request(span, _operation(scope), _route(scope), status, failure)


class _Observed:
    """What is known of one request."""

    __slots__ = ("error", "meter", "notes", "start", "status")

    def __init__(self, scope: Scope) -> None:
        self.start: float = scope.get("state", {}).get("received_at", time.perf_counter())
        self.meter: Meter = start_meter()
        self.notes: Notes = start_notes()
        self.status = 0
        self.error: str | None = None

    @property
    def started_at(self) -> int:
        """When the request arrived, in nanoseconds since the Unix epoch."""
        return time.time_ns() - int((time.perf_counter() - self.start) * 1e9)

    @property
    def failure(self) -> str | None:
        """The error code if the failure is ours: a status of at least 500, or a stream's error."""
        ended = self.notes.stream_ended
        if ended not in NO_FAILURE:
            return ended
        return (self.error or str(self.status)) if self.status >= SERVER_ERROR else None

    def mark_disconnected(self) -> None:
        self.status = self.status or CLIENT_CLOSED_REQUEST
        self.notes.stream_ended = self.notes.stream_ended or "left"

    def mark_failed(self) -> None:
        self.status, self.error = SERVER_ERROR, "internal_error"

    def log(self, scope: Scope) -> None:
        meter, notes = self.meter, self.notes
        ended = notes.stream_ended
        log_event(
            "request",
            operation=_operation(scope),
            status=self.status,
            error_code=self.error if ended in NO_FAILURE else ended,
            stream=ended,
            ms=round((time.perf_counter() - self.start) * 1000, 1),
            actor=notes.actor,
            subject=notes.subject,
            replayed=notes.replayed,
            degraded=",".join(notes.degraded) or None,
            prompt_tokens=meter.spent.prompt_tokens,
            completion_tokens=meter.spent.completion_tokens,
            embedding_tokens=meter.spent.embedding_tokens,
            request_units=round(meter.spent.request_units, 2),
            cosmos_calls=meter.cosmos_calls,
            redis_calls=meter.redis_calls,
            model_calls=meter.spent.model_calls,
            request_id=scope["state"].get("request_id"),
        )


def _operation(scope: Scope) -> str:
    """The operation id in the OpenAPI document, or `unmatched`: never what the caller sent."""
    return getattr(scope.get("route"), "operation_id", None) or "unmatched"


def _route(scope: Scope) -> str | None:
    """The route's path template."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path and f"{PREFIX}{path}"
