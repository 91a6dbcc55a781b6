"""The real worker with an OTLP collector."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from devtools.front import FUNCTION_KEY
from tests.support.processes import program

pytestmark = pytest.mark.xdist_group("worker")

USER = {"x-functions-key": FUNCTION_KEY, "x-user-id": "watched"}


def test_the_first_request_of_a_cold_worker_has_a_span(worker_settings: dict[str, str]) -> None:
    """The request's span starts before everything else and is the parent, even on a cold worker."""
    with _collector() as collector:
        with _running_worker(worker_settings, collector) as client:
            assert client.post("/api/chat", json={"message": "Hello"}).status_code == 200
        spans = collector.spans()
    (request,) = [span for span in spans.values() if span.kind == Span.SPAN_KIND_SERVER]
    request_spans = [span for span in spans.values() if span.trace_id == request.trace_id]
    assert request.name == "chat"
    assert len(request_spans) == len(spans) > 5
    assert min(request_spans, key=lambda span: span.start_time_unix_nano) == request


def test_the_export_contains_nothing_of_a_request_f36(worker_settings: dict[str, str]) -> None:
    """No path, query, body or key is exported, not even by the worker's own web server."""
    with _collector() as collector:
        with _running_worker(worker_settings, collector) as client:
            client.get("/api/health/ready").raise_for_status()  # loads all that makes spans
            for path in (
                "/api/sessions/canary-1?limit=3&code=canary-2",
                "/api/canary-3",
                "/api/user/usage?day=canary-4",
            ):
                client.get(path, headers={"x-user-id": "canary-5", "x-functions-key": FUNCTION_KEY})
            client.post("/api/chat", json={"message": "canary-6"}).raise_for_status()
        assert {"read_session", "chat"} <= {span.name for span in collector.spans().values()}
        assert {path for path, _ in collector.received} == {"/v1/traces", "/v1/metrics", "/v1/logs"}
        assert [
            path
            for path, body in collector.received
            if b"canary" in body or FUNCTION_KEY.encode() in body
        ] == []


@contextmanager
def _running_worker(settings: dict[str, str], collector: "_Collector") -> Iterator[httpx.Client]:
    """The app in the real worker, exporting to the collector until it has ended."""
    settings = settings | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address}
    with program(
        "-W", "error", "-m", "devtools.functions", "--port", "0", settings=settings
    ) as running:
        with httpx.Client(base_url=running.first_line(), headers=USER, timeout=20) as client:
            yield client
        running.process.terminate()
        running.wait()


@dataclass(frozen=True, slots=True)
class _Collector:
    """An OTLP collector over HTTP, and what it received."""

    address: str
    received: list[tuple[str, bytes]]

    def spans(self) -> dict[bytes, Span]:
        """The spans by id, because an exporter may send one twice."""
        sent = [
            ExportTraceServiceRequest.FromString(body)
            for path, body in self.received
            if path == "/v1/traces"
        ]
        scopes = [
            scope for request in sent for one in request.resource_spans for scope in one.scope_spans
        ]
        return {span.span_id: span for scope in scopes for span in scope.spans}


@contextmanager
def _collector() -> Iterator[_Collector]:
    """Serve a collector while the block runs."""
    received: list[tuple[str, bytes]] = []

    class ReceiveHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            plain = (
                gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            )
            received.append((self.path, plain))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), ReceiveHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield _Collector(f"http://127.0.0.1:{server.server_port}", received)
        server.shutdown()
