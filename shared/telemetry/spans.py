"""Spans, created with the OpenTelemetry API; without an SDK the calls do nothing.

Spans record an exception's type as `error.type`, not its message, which may quote content (F36).
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


class _ExceptionOptions(TypedDict):
    record_exception: bool
    set_status_on_exception: bool


_NO_EXCEPTIONS: _ExceptionOptions = {"record_exception": False, "set_status_on_exception": False}
_tracer = trace.get_tracer(names.SCOPE)


class ModelCall:
    """A model call in progress."""

    def __init__(self, operation: str, provider: str, model: str, server: str) -> None:
        """Start the span and the timer."""
        self._attributes = {
            names.OPERATION_NAME: operation,
            names.PROVIDER_NAME: provider,
            names.REQUEST_MODEL: model,
            names.SERVER_ADDRESS: server,
        }
        self._span = _tracer.start_span(
            operation, kind=SpanKind.CLIENT, attributes=self._attributes
        )
        self._start = time.perf_counter()

    def record_answer(self, finish_reason: str, input_tokens: int, output_tokens: int) -> None:
        """Record why the model stopped, and the tokens; 0 if the provider does not count them."""
        self._span.set_attribute(names.FINISH_REASONS, (finish_reason,))
        self.count_input_tokens(input_tokens)
        self._count(names.OUTPUT_TOKENS, "output", output_tokens)

    def count_input_tokens(self, tokens: int) -> None:
        """Record the tokens of the prompt or of the embedded texts."""
        self._count(names.INPUT_TOKENS, "input", tokens)

    def end(self, error: BaseException | None = None) -> None:
        """End the span and record the duration."""
        if error:
            error_type = _type_of(error.__cause__ or error)
            self._attributes[names.ERROR_TYPE] = error_type
            _mark_failed(self._span, error_type)
        record_model_seconds(time.perf_counter() - self._start, self._attributes)
        self._span.end()

    def _count(self, name: str, token_type: str, tokens: int) -> None:
        self._span.set_attribute(name, tokens)
        record_model_tokens(tokens, self._attributes | {names.TOKEN_TYPE: token_type})


@contextmanager
def model_call(operation: str, provider: str, model: str, server: str) -> Iterator[ModelCall]:
    """Observe a model call; `operation` is its name in the conventions.

    The span does not become the current one, because a generator may end in another context.
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
    """Observe a call of a store by operation and target, without keys, ids and parameters."""
    optional = {names.DB_COLLECTION: collection, names.DB_PROCEDURE: procedure}
    target = {name: value for name, value in optional.items() if value}
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
        _mark_failed(span, _type_of(failed))
        raise
    finally:
        span.end()


def mark_status(span: Span, status: int, *, failed: bool) -> None:
    """Record a store's response status; not every error status is a failure, such as a 404."""
    span.set_attribute(names.DB_STATUS, str(status))
    if failed:
        _mark_failed(span, str(status))


@contextmanager
def memory_span(operation: str) -> Iterator[Span]:
    """Observe an operation on a user's memory; `operation` is its name in the conventions."""
    with _observed(operation, SpanKind.INTERNAL) as span:
        span.set_attribute(names.OPERATION_NAME, operation)
        yield span


def count_records(span: Span, count: int) -> None:
    """Record how many memories a search found or a write affects."""
    span.set_attribute(names.RECORD_COUNT, count)


def append_span() -> AbstractContextManager[Span]:
    """Observe the commit of a turn."""
    return _observed(names.APPEND_TURN, SpanKind.INTERNAL)


def background_span(operation: str) -> AbstractContextManager[Span]:
    """Observe a timer or queue function, as a child of the span that the worker attached."""
    return _observed(operation, SpanKind.CONSUMER)


@contextmanager
def request_span(method: str, traceparent: str | None, started_at: int) -> Iterator[Span]:
    """Observe a request that started at this time, in nanoseconds since the Unix epoch.

    Its parent is the span that the Functions worker attached, or else the caller's `traceparent`.
    """
    attributes = {names.HTTP_METHOD: method}
    span = _tracer.start_span(
        "request", _parent(traceparent), SpanKind.SERVER, attributes, start_time=started_at
    )
    with trace.use_span(span, end_on_exit=True, **_NO_EXCEPTIONS):
        yield span


def name_request(
    span: Span, operation: str, route: str | None, status: int, error: str | None
) -> None:
    """Record the operation of a request and its outcome; `error` is set if the failure is ours."""
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
    with _tracer.start_as_current_span(name, kind=kind, **_NO_EXCEPTIONS) as span:
        try:
            yield span
        except BaseException as failed:
            _mark_failed(span, _type_of(failed))
            raise


def _parent(traceparent: str | None) -> Context | None:
    """The caller's trace, from `traceparent` only: `tracestate` and `baggage` are free text."""
    if traceparent is None or trace.get_current_span().get_span_context().is_valid:
        return None
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})


def _type_of(error: BaseException) -> str:
    return (
        "cancelled" if isinstance(error, CancelledError | GeneratorExit) else type(error).__name__
    )


def _mark_failed(span: Span, error_type: str) -> None:
    span.set_attribute(names.ERROR_TYPE, error_type)
    span.set_status(StatusCode.ERROR)
