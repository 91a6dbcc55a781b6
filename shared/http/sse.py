"""Server-sent events of one turn: `context`, `delta`, `done`, `error`, and a ping while there is nothing to say."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import assert_never

from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from shared.domain.errors import KeepsakeError
from shared.http.errors import describe, describe_unexpected
from shared.http.schemas.chat import ChatAnswer, ContextView
from shared.metering import Meter
from shared.services.turn_stream import Delta, Finished, Started, StreamEvent, TurnStream
from shared.telemetry.notes import current_notes

PING_SECONDS = 15.0  # load balancers close what is idle for some minutes
PING = b": ping\n\n"
HEADERS = {
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}  # nobody between may hold events back


def stream_events(
    stream: TurnStream, first: StreamEvent, meter: Meter, request_id: str
) -> StreamingResponse:
    """The response whose body is the turn's events, as they happen."""
    body = _render(stream, first, meter, request_id)
    return StreamingResponse(body, media_type="text/event-stream", headers=HEADERS)


async def _render(
    stream: TurnStream, first: StreamEvent, meter: Meter, request_id: str
) -> AsyncIterator[bytes]:
    finished = False
    try:
        event = first
        while True:
            yield _encode(event, meter)
            if finished := isinstance(event, Finished):
                current_notes().stream_ended = "done"
                return
            while (heard := await _next(stream)) is None:
                yield PING
            event = heard
    except Exception as failed:  # noqa: BLE001 - the status is sent; the reader learns it by an event
        finished = True
        error = (
            describe(failed)
            if isinstance(failed, KeepsakeError)
            else describe_unexpected(failed, request_id)
        )
        current_notes().stream_ended = error.code
        yield format_sse_event(
            event="error", data_str=json.dumps({"error": error.model_dump(exclude_none=True)})
        )
    finally:
        notes = current_notes()
        notes.stream_ended = notes.stream_ended or "left"
        stream.leave(interrupt=not finished)


async def _next(stream: TurnStream) -> StreamEvent | None:
    try:
        async with asyncio.timeout(PING_SECONDS):
            return await stream.receive()
    except TimeoutError:
        return None


def _encode(event: StreamEvent, meter: Meter) -> bytes:
    match event:
        case Started(session_id, turn_id, context):
            views = [ContextView.of(entry).model_dump(exclude_none=True) for entry in context]
            started = {"session_id": session_id.value, "turn_id": turn_id.value, "context": views}
            return format_sse_event(event="context", data_str=json.dumps(started))
        case Delta(text):
            return format_sse_event(event="delta", data_str=json.dumps({"text": text}))
        case Finished(answer, replaced):
            done = ChatAnswer.of(answer, meter).model_dump(mode="json", exclude_none=True) | {
                "replaced": replaced
            }
            return format_sse_event(event="done", data_str=json.dumps(done))
    assert_never(event)
