"""Export of telemetry to Application Insights, to an OTLP collector, or to both.

A receiver that is slow or unavailable does not affect requests: threads send from bounded queues
and drop what does not fit.
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

EXPORT_SECONDS = 5.0  # per export, including retries
FLUSH_SECONDS = 2.0  # to send the rest at shutdown; what is left then is lost
QUEUE = 2048  # spans, and as many log lines; when it is full, the oldest are dropped
BATCH = 512  # spans or log lines per export
METRICS_SECONDS = 60
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where to send telemetry, and as which service.

    `traces_per_second` limits what each worker sends to Application Insights.
    """

    service: str
    otlp_endpoint: str
    connection_string: str | None
    traces_per_second: float

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.otlp_endpoint or self.connection_string)


class Provider(Protocol):
    """A provider of the OpenTelemetry SDK."""

    def shutdown(self) -> None:
        """Send the rest and stop."""
        ...


class Export:
    """The SDK's three providers, each with a bounded queue per destination."""

    def __init__(self, destinations: Destinations) -> None:
        """Import the SDK and the exporters and start their threads: 0.1 to 0.3 s of CPU time."""
        # Imported here, because a worker without a destination does not need them.
        from opentelemetry.sdk._logs import LoggerProvider  # noqa: PLC0415
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
        """Make these the global providers, until the process ends."""
        from opentelemetry import metrics, trace  # noqa: PLC0415 - see __init__

        trace.set_tracer_provider(self.tracers)
        metrics.set_meter_provider(self.meters)
        log.addHandler(self._lines)
        log.setLevel(logging.INFO)
        atexit.register(self.close)

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Send the rest for at most `seconds`; what is not sent by then is lost. Idempotent."""
        atexit.unregister(self.close)
        log.removeHandler(self._lines)
        providers: Sequence[Provider] = (self.tracers, self.meters, self.loggers)
        threads = [threading.Thread(target=one.shutdown, daemon=True) for one in providers]
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


@dataclass(frozen=True, slots=True)
class OwnSpans:
    """A span processor that passes on only our own spans.

    The worker's FastAPI also creates spans, with raw paths and function keys (F36).
    """

    processor: Any

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Ignore the start of a span."""

    def _on_ending(self, span: Any) -> None:
        """Ignore that a span is about to end."""

    def on_end(self, span: Any) -> None:
        """Pass on a span that has ended, if it is one of ours."""
        if span.instrumentation_scope.name == names.SCOPE:
            self.processor.on_end(span)

    def shutdown(self) -> None:
        """Send the rest and stop."""
        self.processor.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send the rest."""
        return bool(self.processor.force_flush(timeout_millis))


class LineExport(logging.Handler):
    """A log handler that passes our own log lines to OpenTelemetry, as events with fields.

    It passes on no exceptions, whose text may quote content.
    """

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on one line."""
        from opentelemetry._logs import SeverityNumber  # noqa: PLC0415 - see Export.__init__

        failed = record.levelno >= logging.ERROR
        self._logger.emit(
            timestamp=int(record.created * 1e9),
            severity_number=SeverityNumber.ERROR if failed else SeverityNumber.INFO,
            severity_text=record.levelname,
            body=record.getMessage(),
            attributes={key: value for key, value in vars(record).items() if key not in PLAIN},
        )


@dataclass(frozen=True, slots=True)
class _Exporters:
    """The exporters to one destination."""

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
    """Authenticated by APPLICATIONINSIGHTS_AUTHENTICATION_STRING, which the exporter reads."""
    package = import_module("azure.monitor.opentelemetry.exporter")
    options = {
        "connection_string": connection_string,
        "disable_offline_storage": True,  # a worker's disk does not outlive it
        "timeout": EXPORT_SECONDS,
    }
    return _Exporters(
        package.AzureMonitorTraceExporter(**options),
        package.AzureMonitorMetricExporter(**options),
        package.AzureMonitorLogExporter(**options),
    )


def _sampler(destinations: Destinations) -> Any:
    """Sample whole traces and record the rate; None leaves it to the SDK (OTEL_TRACES_SAMPLER)."""
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
