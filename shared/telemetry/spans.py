"""Spans, through the API of OpenTelemetry: without an SDK behind it, nothing happens and nothing is kept.

No span records an exception: its message may quote content (F36). Its type is told by `error.type`.
"""

import time
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypedDict

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.telemetry import names
from shared.telemetry.metrics import record_model_seconds, record_model_tokens


class _Quietly(TypedDict):
    record_exception: bool
    set_status_on_exception: bool


_QUIETLY: _Quietly = {"record_exception": False, "set_status_on_exception": False}
_tracer = trace.get_tracer(names.SCOPE)


class ModelCall:
    """One call of a model under way."""

    def __init__(self, operation: str, provider: str, model: str, server: str) -> None:
        """Start its span and its clock."""
        self._of = {
            names.OPERATION_NAME: operation,
            names.PROVIDER_NAME: provider,
            names.REQUEST_MODEL: model,
        }
        self._of[names.SERVER_ADDRESS] = server
        self._span = _tracer.start_span(operation, kind=SpanKind.CLIENT, attributes=self._of)
        self._start = time.perf_counter()

    def answer(self, finish_reason: str, input_tokens: int, output_tokens: int) -> None:
        """Say how the model ended and what it counted; a provider that counts nothing says 0."""
        self._span.set_attribute(names.FINISH_REASONS, (finish_reason,))
        self.count_given(input_tokens)
        self._count(names.OUTPUT_TOKENS, "output", output_tokens)

    def count_given(self, tokens: int) -> None:
        """Say what the model counted of what it was given."""
        self._count(names.INPUT_TOKENS, "input", tokens)

    def end(self, error: BaseException | None = None) -> None:
        """End its span and its clock."""
        if error:
            kind = _kind_of(error.__cause__ or error)
            self._of[names.ERROR_TYPE] = kind
            _mark_failed(self._span, kind)
        record_model_seconds(time.perf_counter() - self._start, self._of)
        self._span.end()

    def _count(self, name: str, kind: str, tokens: int) -> None:
        self._span.set_attribute(name, tokens)
        record_model_tokens(tokens, self._of | {names.TOKEN_TYPE: kind})


@contextmanager
def model_call(operation: str, provider: str, model: str, server: str) -> Iterator[ModelCall]:
    """Observe one call of a model, by the conventions' name of the operation.

    Its span is nobody's parent: a generator may end in another context.
    """
    call = ModelCall(operation, provider, model, server)
    try:
        yield call
    except BaseException as failed:
        call.end(failed)
        raise
    call.end()


@contextmanager
def store_call(
    system: str,
    operation: str,
    server: str,
    *,
    collection: str | None = None,
    procedure: str | None = None,
) -> Iterator[Span]:
    """Observe one call of a store, by what it does and on what; never by a key, an id or a parameter."""
    told = {names.DB_COLLECTION: collection, names.DB_PROCEDURE: procedure}
    target = {name: value for name, value in told.items() if value}
    attributes = {
        names.DB_SYSTEM: system,
        names.DB_OPERATION: operation,
        names.SERVER_ADDRESS: server,
        **target,
    }
    span = _tracer.start_span(
        " ".join((operation, *target.values())), kind=SpanKind.CLIENT, attributes=attributes
    )
    try:
        yield span
    except BaseException as failed:
        _mark_failed(span, _kind_of(failed))
        raise
    finally:
        span.end()


def mark_status(span: Span, status: int, *, failed: bool) -> None:
    """Say what a store answered, and whether that is a failure: an item that is not there is none."""
    span.set_attribute(names.DB_STATUS, str(status))
    if failed:
        _mark_failed(span, str(status))


@contextmanager
def memory_span(operation: str) -> Iterator[Span]:
    """Observe an operation on what is remembered, by the conventions' name of the operation."""
    with _observed(operation, SpanKind.INTERNAL) as span:
        span.set_attribute(names.OPERATION_NAME, operation)
        yield span


def count_records(span: Span, count: int) -> None:
    """Say how many memories a search found, or a write was to touch."""
    span.set_attribute(names.RECORD_COUNT, count)


def append_span() -> AbstractContextManager[Span]:
    """Observe the commit of a turn."""
    return _observed(names.APPEND_TURN, SpanKind.INTERNAL)


def background_span(operation: str) -> AbstractContextManager[Span]:
    """Observe a timer's or a queue's run, as a child of what the Functions worker attached."""
    return _observed(operation, SpanKind.CONSUMER)


@contextmanager
def request_span(method: str, traceparent: str | None, began: int) -> Iterator[Span]:
    """Observe a request, as a child of what the Functions worker attached, else of the caller's `traceparent`.

    It began so many nanoseconds after 1970.
    """
    attributes = {names.HTTP_METHOD: method}
    span = _tracer.start_span(
        "request", _parent(traceparent), SpanKind.SERVER, attributes, start_time=began
    )
    with trace.use_span(span, end_on_exit=True, **_QUIETLY):
        yield span


def name_request(
    span: Span, operation: str, route: str | None, status: int, error: str | None
) -> None:
    """Say which operation a request was, and how it ended; `error` is a failure of ours."""
    if not span.is_recording():
        return
    span.update_name(operation)
    span.set_attribute(names.HTTP_STATUS, status)
    if route:
        span.set_attribute(names.HTTP_ROUTE, route)
    if error:
        _mark_failed(span, error)


@contextmanager
def _observed(name: str, kind: SpanKind) -> Iterator[Span]:
    with _tracer.start_as_current_span(name, kind=kind, **_QUIETLY) as span:
        try:
            yield span
        except BaseException as failed:
            _mark_failed(span, _kind_of(failed))
            raise


def _parent(traceparent: str | None) -> Context | None:
    """`traceparent` alone: `tracestate` and `baggage` are free text of a caller."""
    if traceparent is None or trace.get_current_span().get_span_context().is_valid:
        return None
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})


def _kind_of(error: BaseException) -> str:
    return (
        "cancelled" if isinstance(error, CancelledError | GeneratorExit) else type(error).__name__
    )


def _mark_failed(span: Span, kind: str) -> None:
    span.set_attribute(names.ERROR_TYPE, kind)
    span.set_status(StatusCode.ERROR)
