"""All telemetry of a worker, captured in memory: spans, metrics and log lines."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry._logs import LogRecord, set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import DataPointT, HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.telemetry.export import LineExport
from shared.telemetry.logs import log

Point = tuple[str, dict[str, Any], Any]  # a metric's name, its dimensions, and its count or sum


class _RecordList(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@dataclass(frozen=True, slots=True)
class Captured:
    """What was captured in the block; metrics count since the process started."""

    _spans: InMemorySpanExporter
    _metrics: InMemoryMetricReader
    _exported: InMemoryLogRecordExporter
    _lines: _RecordList = field(default_factory=_RecordList)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """Spans that have ended."""
        return self._spans.get_finished_spans()

    def span(self, name: str, kind: trace.SpanKind) -> ReadableSpan:
        """The only span of this name and kind."""
        (found,) = [span for span in self.spans if (span.name, span.kind) == (name, kind)]
        return found

    def last(self, name: str) -> ReadableSpan:
        """The newest span of this name."""
        return next(span for span in reversed(self.spans) if span.name == name)

    @property
    def points(self) -> list[Point]:
        """Every data point of every metric."""
        return [
            (
                name,
                dict(point.attributes or {}),
                getattr(point, "value", None) or getattr(point, "sum", 0),
            )
            for name, point in self._read()
        ]

    def total(self, name: str) -> float:
        """The sum of a metric over all of its dimensions."""
        return sum(float(value) for metric, _, value in self.points if metric == name)

    def counts(self, name: str, dimension: str) -> dict[str, int]:
        """How often a histogram was recorded, by one of its dimensions."""
        return {
            str((point.attributes or {})[dimension]): point.count
            for metric, point in self._read()
            if metric == name and isinstance(point, HistogramDataPoint)
        }

    def _read(self) -> Iterator[tuple[str, DataPointT]]:
        read = self._metrics.get_metrics_data()
        scopes = [
            scope
            for resource in (read.resource_metrics if read else ())
            for scope in resource.scope_metrics
        ]
        for metric in (metric for scope in scopes for metric in scope.metrics):
            for point in metric.data.data_points:
                yield metric.name, point

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The fields of each request's log line."""
        lines = [
            vars(record)
            for record in self._lines.records
            if getattr(record, "event", "") == "request"
        ]
        return [{key: value for key, value in line.items() if key in CANONICAL} for line in lines]

    @property
    def exported(self) -> list[LogRecord]:
        """Our log lines as they are exported."""
        return [one.log_record for one in self._exported.get_finished_logs()]

    def everything(self) -> str:
        """All telemetry as one text, including attributes and formatted exceptions."""
        shown = [
            record.getMessage() + repr(vars(record)) + _traceback(record)
            for record in self._lines.records
        ]
        shown += [span.to_json() for span in self.spans]
        shown += [f"{line.body!r} {line!r}" for line in self.exported]
        return "\n".join([*shown, repr(self.points)])


CANONICAL = {
    "operation",
    "status",
    "error_code",
    "stream",
    "ms",
    "request_id",
    "actor",
    "subject",
    "replayed",
    "degraded",
} | {
    "prompt_tokens",
    "completion_tokens",
    "embedding_tokens",
    "request_units",
    "cosmos_calls",
    "redis_calls",
    "model_calls",
}


@contextmanager
def capturing() -> Iterator[Captured]:
    """Capture all telemetry of this process while the block runs, including libraries at DEBUG."""
    spans, reader, exported = _memory()
    spans.clear()
    exported.clear()
    captured = Captured(spans, reader, exported)
    root, level, own = logging.getLogger(), logging.getLogger().level, log.level
    root.addHandler(captured._lines)
    root.setLevel(logging.DEBUG)
    log.setLevel(logging.DEBUG)
    try:
        yield captured
    finally:
        root.removeHandler(captured._lines)
        root.setLevel(level)
        log.setLevel(own)


@cache
def _memory() -> tuple[InMemorySpanExporter, InMemoryMetricReader, InMemoryLogRecordExporter]:
    """Install the SDK once: OpenTelemetry does not allow replacing it."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    exported = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # SDK lacks a type
    tracers, loggers = (
        TracerProvider(shutdown_on_exit=False),
        LoggerProvider(shutdown_on_exit=False),
    )
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(exported))
    trace.set_tracer_provider(tracers)
    set_logger_provider(loggers)  # libraries may log to it too
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    log.addHandler(LineExport(loggers.get_logger("test")))
    return spans, reader, exported


def _traceback(record: logging.LogRecord) -> str:
    return logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
