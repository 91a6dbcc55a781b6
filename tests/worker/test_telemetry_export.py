"""The real worker with a telemetry receiver that listens."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from local.functions import FUNCTION_KEY
from tests.worker.processes import program

pytestmark = pytest.mark.xdist_group("worker")

USER = {"x-functions-key": FUNCTION_KEY, "x-user-id": "watched"}


def test_the_first_request_of_a_cold_worker_has_its_span(worker_settings: dict[str, str]) -> None:
    """It comes while the exporter is being imported: its span begins before all that it did, and is their parent."""
    with _collector() as (address, spans):
        settings = worker_settings | {"OTEL_EXPORTER_OTLP_ENDPOINT": address}
        with program("-W", "error", "-m", "local.functions", "--port", "0", settings=settings) as running:
            with httpx.Client(base_url=running.first_line(), headers=USER, timeout=20) as client:
                assert client.post("/api/chat", json={"message": "Hello"}).status_code == 200
            running.process.terminate()
            running.wait()
    (request,) = [span for span in spans.values() if span.kind == Span.SPAN_KIND_SERVER]
    of_request = [span for span in spans.values() if span.trace_id == request.trace_id]
    assert request.name == "chat"
    assert len(of_request) == len(spans) > 5
    assert min(of_request, key=lambda span: span.start_time_unix_nano) == request


@contextmanager
def _collector() -> Iterator[tuple[str, dict[bytes, Span]]]:
    """A receiver of OTLP over HTTP: its address, and the spans by their ids, since an exporter may send them twice."""
    spans: dict[bytes, Span] = {}

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                sent = ExportTraceServiceRequest.FromString(body)
                scopes = [scope for one in sent.resource_spans for scope in one.scope_spans]
                spans.update((span.span_id, span) for scope in scopes for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()
