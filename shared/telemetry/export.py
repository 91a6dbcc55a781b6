"""Where telemetry goes: Application Insights, a collector of OTLP, both; or nowhere, and then nothing is imported.

Whatever becomes of the receiver, a request does not notice: queues are bounded and drop, sending is a thread's work.
"""

import atexit
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from shared.telemetry import names
from shared.telemetry.logs import log

EXPORT_SECONDS = 5.0  # one try to send, all its repetitions included
FLUSH_SECONDS = 2.0  # what is left at the end may take this long to be sent; then it is given up
QUEUE = 2048  # spans, and as many log lines, that may wait; newer ones push out the oldest
BATCH = 512
METRICS_SECONDS = 60
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where to send to, as which service, and how many traces a second of a worker Application Insights gets."""

    service: str
    otlp_endpoint: str
    connection_string: str | None
    traces_per_second: float

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.otlp_endpoint or self.connection_string)


class Provider(Protocol):
    """Of an OpenTelemetry SDK."""

    def shutdown(self) -> None:
        """Send what is left and stop."""
        ...


class Export:
    """The SDK's three providers, each with a bounded way to every destination."""

    def __init__(self, destinations: Destinations) -> None:
        """Import the SDK and the exporters, and start their threads; a tenth to a third of a second of CPU."""
        from opentelemetry.sdk._logs import LoggerProvider  # noqa: PLC0415 - only where telemetry is sent
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

        exporters = _exporters(destinations)
        resource = Resource({"service.name": destinations.service}).merge(
            OTELResourceDetector().detect()
        )
        self.tracers = TracerProvider(_sampler(destinations), resource, shutdown_on_exit=False)
        self.meters = MeterProvider(_readers(exporters), resource=resource, shutdown_on_exit=False)
        self.loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        for one in exporters:
            self.tracers.add_span_processor(_span_queue(one.spans))
            self.loggers.add_log_record_processor(_log_queue(one.logs))
        self._lines = LineExport(self.loggers.get_logger(names.SCOPE))

    def install(self) -> None:
        """Let everything that the API is told go this way, until the process ends."""
        from opentelemetry import metrics, trace  # noqa: PLC0415 - it is imported already; here for symmetry

        trace.set_tracer_provider(self.tracers)
        metrics.set_meter_provider(self.meters)
        log.addHandler(self._lines)
        log.setLevel(logging.INFO)
        atexit.register(self.close)

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Send what is left, at most for so long: what a dead receiver does not take is lost. Twice is harmless."""
        atexit.unregister(self.close)
        log.removeHandler(self._lines)
        providers: Sequence[Provider] = (self.tracers, self.meters, self.loggers)
        threads = [threading.Thread(target=one.shutdown, daemon=True) for one in providers]
        give_up_at = time.monotonic() + seconds
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))


class OwnSpans:
    """Hands on our own spans only: the worker's FastAPI makes some too, of paths and function keys as sent (F36)."""

    def __init__(self, processor: Any) -> None:
        """Stand before one of the SDK's span processors."""
        self._processor = processor

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """A span begins."""

    def _on_ending(self, span: Any) -> None:
        """A span is about to end."""

    def on_end(self, span: Any) -> None:
        """A span has ended."""
        if span.instrumentation_scope.name == names.SCOPE:
            self._processor.on_end(span)

    def shutdown(self) -> None:
        """Send what is left and stop."""
        self._processor.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is left."""
        return bool(self._processor.force_flush(timeout_millis))


class LineExport(logging.Handler):
    """Hands our own log lines to OpenTelemetry with their fields; no other logger's, and no exception's text."""

    def __init__(self, logger: Any) -> None:
        """Take an OpenTelemetry logger."""
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on one line."""
        from opentelemetry._logs import SeverityNumber  # noqa: PLC0415 - the SDK has imported it

        self._logger.emit(
            timestamp=int(record.created * 1e9),
            severity_number=SeverityNumber.ERROR
            if record.levelno >= logging.ERROR
            else SeverityNumber.INFO,
            severity_text=record.levelname,
            body=record.getMessage(),
            attributes={key: value for key, value in vars(record).items() if key not in PLAIN},
        )


@dataclass(frozen=True, slots=True)
class _Exporters:
    """One destination's."""

    spans: Any
    metrics: Any
    logs: Any


def _exporters(destinations: Destinations) -> list[_Exporters]:
    found = []
    if destinations.otlp_endpoint:
        found.append(_otlp(destinations.otlp_endpoint.rstrip("/")))
    if destinations.connection_string:
        found.append(_application_insights(destinations.connection_string))
    return found


def _otlp(endpoint: str) -> _Exporters:
    package = "opentelemetry.exporter.otlp.proto.http"
    spans = import_module(f"{package}.trace_exporter").OTLPSpanExporter
    metrics = import_module(f"{package}.metric_exporter").OTLPMetricExporter
    logs = import_module(f"{package}._log_exporter").OTLPLogExporter
    return _Exporters(
        spans(endpoint=f"{endpoint}/v1/traces", timeout=EXPORT_SECONDS),
        metrics(endpoint=f"{endpoint}/v1/metrics", timeout=EXPORT_SECONDS),
        logs(endpoint=f"{endpoint}/v1/logs", timeout=EXPORT_SECONDS),
    )


def _application_insights(connection_string: str) -> _Exporters:
    """Signed in as APPLICATIONINSIGHTS_AUTHENTICATION_STRING says, which the exporter reads itself."""
    package = import_module("azure.monitor.opentelemetry.exporter")
    options = {
        "connection_string": connection_string,
        "disable_offline_storage": True,  # a worker's disk is gone with it, and is not ours to leave telemetry on
        "timeout": EXPORT_SECONDS,
    }
    return _Exporters(
        package.AzureMonitorTraceExporter(**options),
        package.AzureMonitorMetricExporter(**options),
        package.AzureMonitorLogExporter(**options),
    )


def _sampler(destinations: Destinations) -> Any:
    """Whole traces, each saying for how many it stands; None is the SDK's own sampler, by OTEL_TRACES_SAMPLER."""
    if not destinations.connection_string:
        return None
    sampler = import_module("azure.monitor.opentelemetry.exporter").RateLimitedSampler
    return sampler(destinations.traces_per_second)


def _readers(exporters: Sequence[_Exporters]) -> list[Any]:
    reader = import_module("opentelemetry.sdk.metrics.export").PeriodicExportingMetricReader
    return [reader(one.metrics, METRICS_SECONDS * 1000, EXPORT_SECONDS * 1000) for one in exporters]


def _span_queue(exporter: Any) -> Any:
    queue = import_module("opentelemetry.sdk.trace.export").BatchSpanProcessor
    return OwnSpans(queue(exporter, max_queue_size=QUEUE, max_export_batch_size=BATCH))


def _log_queue(exporter: Any) -> Any:
    queue = import_module("opentelemetry.sdk._logs.export").BatchLogRecordProcessor
    return queue(exporter, max_queue_size=QUEUE, max_export_batch_size=BATCH)
