"""Server-sent events of one turn: `context`, `delta`, `done`, `error`, and a ping when idle."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, assert_never

from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from shared.domain.deadlines import Deadlines
from shared.domain.errors import KeepsakeError
from shared.http.errors import describe, describe_unexpected
from shared.http.schemas.chat import ChatAnswer, ContextView
from shared.services.turns import ContextEvent, DeltaEvent, DoneEvent, StreamEvent, TurnStream
from shared.telemetry.meter import Meter
from shared.telemetry.notes import current_notes

EVENT_STREAM = "text/event-stream"
PING = b": ping\n\n"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # proxies must not buffer
EVENT = {  # before OpenAPI 3.2 there is no better place to describe one event
    "type": "object",
    "properties": {
        "event": {"type": "string", "enum": ["context", "delta", "done", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}


def describe_events() -> dict[int | str, dict[str, Any]]:
    """The streamed form of a chat answer, for OpenAPI."""
    description = (
        "The answer; or, if requested with `Accept: text/event-stream` or `stream`, the events "
        "`context`, `delta` (provisional until `done`), `done` (the answer, and whether it "
        "replaces what was streamed) and `error`"
    )
    return {200: {"description": description, "content": {EVENT_STREAM: {"schema": EVENT}}}}


def stream_events(
    stream: TurnStream, first: StreamEvent, meter: Meter, request: Request
) -> StreamingResponse:
    """The response whose body is the turn's events, as they happen."""
    deadlines: Deadlines = request.app.state.composition.deadlines
    events = _Events(stream, meter, request.state.request_id, deadlines.stream_ping)
    return StreamingResponse(events.render(first), media_type=EVENT_STREAM, headers=HEADERS)


@dataclass(frozen=True, slots=True)
class _Events:
    stream: TurnStream
    meter: Meter
    request_id: str
    ping_seconds: float  # load balancers close connections that are idle for some minutes

    async def render(self, first: StreamEvent) -> AsyncIterator[bytes]:
        ended, event = False, first
        notes = current_notes()
        try:
            while True:
                yield _encode(event, self.meter)
                if ended := isinstance(event, DoneEvent):
                    notes.stream_ended = "done"
                    return
                while (received := await self._next()) is None:
                    yield PING
                event = received
        except Exception as failed:  # noqa: BLE001 - the status is sent; an event reports it
            ended = True
            yield self._encode_error(failed)
        finally:
            notes.stream_ended = notes.stream_ended or "left"
            self.stream.leave(interrupt=not ended)

    async def _next(self) -> StreamEvent | None:
        try:
            async with asyncio.timeout(self.ping_seconds):
                return await self.stream.receive()
        except TimeoutError:
            return None

    def _encode_error(self, failed: Exception) -> bytes:
        if isinstance(failed, KeepsakeError):
            error = describe(failed)
        else:
            error = describe_unexpected(failed, self.request_id)
        current_notes().stream_ended = error.code
        body = {"error": error.model_dump(exclude_none=True)}
        return format_sse_event(event="error", data_str=json.dumps(body))


def _encode(event: StreamEvent, meter: Meter) -> bytes:
    match event:
        case ContextEvent(session_id, turn_id, context):
            views = [ContextView.of(entry).model_dump(exclude_none=True) for entry in context]
            ids = {"session_id": session_id.value, "turn_id": turn_id.value}
            return format_sse_event(event="context", data_str=json.dumps(ids | {"context": views}))
        case DeltaEvent(text):
            return format_sse_event(event="delta", data_str=json.dumps({"text": text}))
        case DoneEvent(answer, replaced):
            done = ChatAnswer.of(answer, meter).model_dump(mode="json", exclude_none=True)
            data = json.dumps(done | {"replaced": replaced})
            return format_sse_event(event="done", data_str=data)
    assert_never(event)
