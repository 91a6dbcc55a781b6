"""Telemetry's receiver is away (F43): nobody notices, little is kept, and the end is not waited for."""

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
EXPORTERS_THAT_DRAW = (
    "opentelemetry.exporter.otlp.common.http",
    "azure.monitor.opentelemetry.exporter._configuration._worker",
    "azure.monitor.opentelemetry.exporter._storage",
)


@pytest.fixture(autouse=True, scope="module")
def _chance_of_its_own() -> None:
    """Exporters go on trying in threads after a test, drawing random numbers: tests of chance must not see them."""
    for name in EXPORTERS_THAT_DRAW:
        import_module(name).random = random.Random()  # type: ignore[attr-defined]  # noqa: S311


@pytest.fixture
def closed_port() -> Iterator[str]:
    """An address where nobody listens, nor can while the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def export(closed_port: str) -> Iterator[Export]:
    """An export that reaches nobody."""
    opened = Export(Destinations("keepsake", closed_port, None, 1))
    yield opened
    opened.close()


@pytest.mark.parametrize("count", [QUEUE * 4])
def test_what_waits_is_bounded_f43(export: Export, count: int) -> None:
    """However much is told to a receiver that is away, a queue's worth is kept and a batch is under way."""
    tracer = export.tracers.get_tracer(names.SCOPE)
    for _ in range(count):
        tracer.start_span("chat").end()
    queue = span_queue(export)
    assert isinstance(queue, BatchSpanProcessor)
    assert BATCH < len(queue._batch_processor._queue) <= QUEUE


def test_the_end_is_not_waited_for_f43(export: Export) -> None:
    """What cannot be sent is given up; ten times the time allowed would be a hang."""
    tracer = export.tracers.get_tracer(names.SCOPE)
    for _ in range(QUEUE):
        tracer.start_span("chat").end()
    start = time.monotonic()
    export.close()
    export.close()
    assert time.monotonic() - start < FLUSH_SECONDS * 10


def test_spans_of_others_are_not_kept_f36(export: Export) -> None:
    """A library that makes spans of its own makes them for nobody."""
    export.tracers.get_tracer("fastapi").start_span("GET /canary").end()
    queue = span_queue(export)
    assert isinstance(queue, BatchSpanProcessor)
    assert len(queue._batch_processor._queue) == 0


def span_queue(export: Export) -> object:
    """The queue behind what lets our own spans through."""
    (own,) = export.tracers._active_span_processor._span_processors
    assert isinstance(own, OwnSpans)
    return own._processor


def test_application_insights_is_a_destination_too() -> None:
    """A connection string alone makes an export, on Microsoft's exporter."""
    export = Export(Destinations("keepsake", "", INSIGHTS, 1))
    queue = span_queue(export)
    assert isinstance(queue, BatchSpanProcessor)
    assert type(queue.span_exporter).__name__ == "AzureMonitorTraceExporter"
    export.close()


@pytest.mark.parametrize(("traces_per_second", "kept"), [(0, 0), (1e9, 100)])
def test_application_insights_gets_so_many_whole_traces(
    traces_per_second: float, kept: int
) -> None:
    """All spans of a request or none, whatever the caller's trace says; each says for how many traces it stands."""
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


def test_after_its_end_no_line_is_exported(export: Export) -> None:
    """A line that is logged later has nowhere to go, and no closed exporter to complain."""
    log.addHandler(export._lines)
    export.close()
    assert export._lines not in log.handlers


@pytest.mark.parametrize(("level", "severity"), [(logging.INFO, "INFO"), (logging.ERROR, "ERROR")])
def test_our_lines_are_exported_with_their_fields(
    export: Export, caplog: pytest.LogCaptureFixture, level: int, severity: str
) -> None:
    """A line's fields are attributes; what Python adds to a record is not. A failure is told as one."""
    with caplog.at_level(logging.INFO, "keepsake"):
        logging.getLogger("keepsake").log(level, "request %s", "status=200", extra={"status": 200})
    export._lines.emit(caplog.records[-1])
    (queue,) = export.loggers._multi_log_record_processor._log_record_processors
    (waiting,) = queue._batch_processor._queue  # type: ignore[attr-defined]  # of the batching kind only
    assert (waiting.log_record.body, dict(waiting.log_record.attributes)) == (
        "request status=200",
        {"status": 200},
    )
    assert waiting.log_record.severity_number == SeverityNumber[severity]


def test_telemetry_names_the_app_of_the_platform(model: ModelServer) -> None:
    """Two apps in one workspace are told apart."""
    in_azure = local_settings(model, auth_mode=AuthMode.KEY, website_site_name="shop")
    composed = [
        Composition(settings, jobs=LocalQueue()) for settings in (in_azure, local_settings(model))
    ]
    assert [one._destinations.service for one in composed] == ["shop", "keepsake"]
