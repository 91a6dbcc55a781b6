"""Export without a collector (F43): requests are unaffected, queues bounded, shutdown quick."""

import logging
import random
import socket
import time
from collections.abc import Iterator
from importlib import import_module

import pytest
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, TraceFlags

from local.jobs import LocalQueue
from shared.bootstrap.composition import Composition
from shared.settings import AuthMode
from shared.telemetry import names
from shared.telemetry.export import BATCH, FLUSH_SECONDS, QUEUE, Destinations, Export, OwnSpans
from shared.telemetry.logs import log
from tests.support.app import local_settings
from tests.support.model_server import ModelServer

INSIGHTS = (
    "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://127.0.0.1:1/"
)
RETRYING_EXPORTERS = (
    "opentelemetry.exporter.otlp.common.http",
    "azure.monitor.opentelemetry.exporter._configuration._worker",
    "azure.monitor.opentelemetry.exporter._storage",
)


@pytest.fixture(autouse=True, scope="module")
def _separate_random() -> None:
    """Give exporters their own random numbers: retrying threads would disturb hypothesis."""
    for name in RETRYING_EXPORTERS:
        import_module(name).random = random.Random()  # type: ignore[attr-defined]  # noqa: S311


@pytest.fixture
def closed_port() -> Iterator[str]:
    """An address where nothing listens, and nothing can listen during the test."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def export(closed_port: str) -> Iterator[Export]:
    """An export that reaches no collector."""
    opened = Export(Destinations("keepsake", closed_port, None, 1))
    yield opened
    opened.close()


@pytest.mark.parametrize("count", [QUEUE * 4])
def test_the_span_queue_is_bounded_f43(export: Export, count: int) -> None:
    """Whatever the number of spans, at most a queue is kept, besides the batch being sent."""
    tracer = export.tracers.get_tracer(names.SCOPE)
    for _ in range(count):
        tracer.start_span("chat").end()
    queue = span_queue(export)
    assert isinstance(queue, BatchSpanProcessor)
    assert BATCH < len(queue._batch_processor._queue) <= QUEUE


def test_shutdown_does_not_wait_for_the_collector_f43(export: Export) -> None:
    """What cannot be sent is dropped; ten times the flush timeout would be a hang."""
    tracer = export.tracers.get_tracer(names.SCOPE)
    for _ in range(QUEUE):
        tracer.start_span("chat").end()
    start = time.monotonic()
    export.close()
    export.close()
    assert time.monotonic() - start < FLUSH_SECONDS * 10


def test_spans_of_libraries_are_not_exported_f36(export: Export) -> None:
    """Spans that libraries make are not exported."""
    export.tracers.get_tracer("fastapi").start_span("GET /canary").end()
    queue = span_queue(export)
    assert isinstance(queue, BatchSpanProcessor)
    assert len(queue._batch_processor._queue) == 0


def span_queue(export: Export) -> object:
    """The span queue behind the filter for our own spans."""
    (filtered,) = export.tracers._active_span_processor._span_processors
    assert isinstance(filtered, OwnSpans)
    return filtered.processor


def test_application_insights_is_a_destination() -> None:
    """A connection string alone enables the export with Microsoft's exporter."""
    export = Export(Destinations("keepsake", "", INSIGHTS, 1))
    queue = span_queue(export)
    assert isinstance(queue, BatchSpanProcessor)
    assert type(queue.span_exporter).__name__ == "AzureMonitorTraceExporter"
    export.close()


@pytest.mark.parametrize(("traces_per_second", "kept"), [(0, 0), (1e9, 100)])
def test_application_insights_gets_whole_traces_at_a_limited_rate(
    traces_per_second: float, kept: int
) -> None:
    """Sampling keeps all spans of a request or none, whatever the caller's trace says."""
    export = Export(Destinations("keepsake", "", INSIGHTS, traces_per_second))
    tracer = export.tracers.get_tracer(names.SCOPE)
    for number in range(1, 51):
        caller = SpanContext(
            number << 64, 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
        )
        context = trace.set_span_in_context(trace.NonRecordingSpan(caller))
        with trace.use_span(tracer.start_span("chat", context), end_on_exit=True):
            tracer.start_span("append_turn").end()
    queue = span_queue(export)
    assert isinstance(queue, BatchSpanProcessor)
    assert len(queue._batch_processor._queue) == kept
    queue._batch_processor._queue.clear()
    export.close()


def test_after_shutdown_no_line_is_exported(export: Export) -> None:
    """A line logged after shutdown is not sent to a closed exporter."""
    log.addHandler(export._lines)
    export.close()
    assert export._lines not in log.handlers


@pytest.mark.parametrize(("level", "severity"), [(logging.INFO, "INFO"), (logging.ERROR, "ERROR")])
def test_log_lines_are_exported_with_their_fields(
    export: Export, caplog: pytest.LogCaptureFixture, level: int, severity: str
) -> None:
    """A line's fields become attributes, Python's own record fields do not; the level is kept."""
    with caplog.at_level(logging.INFO, "keepsake"):
        logging.getLogger("keepsake").log(level, "request %s", "status=200", extra={"status": 200})
    export._lines.emit(caplog.records[-1])
    (queue,) = export.loggers._multi_log_record_processor._log_record_processors
    (waiting,) = queue._batch_processor._queue  # type: ignore[attr-defined]  # a batch processor
    assert (waiting.log_record.body, dict(waiting.log_record.attributes)) == (
        "request status=200",
        {"status": 200},
    )
    assert waiting.log_record.severity_number == SeverityNumber[severity]


def test_the_service_name_is_the_platforms_app_name(model: ModelServer) -> None:
    """Two apps in one workspace have different service names."""
    in_azure = local_settings(model, auth_mode=AuthMode.KEY, website_site_name="shop")
    compositions = [
        Composition(settings, jobs=LocalQueue()) for settings in (in_azure, local_settings(model))
    ]
    assert [one._destinations.service for one in compositions] == ["shop", "keepsake"]
