"""Telemetry of a request: its spans, its metrics, and its log line."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, use_span

from cosmos_local import Fault, LocalCosmos
from local.model import Behaviour
from shared.http.request_limits import MAX_BODY_BYTES
from shared.telemetry import digest, names
from tests.support.app import PATIENT, Keepsake, running
from tests.support.model_server import ModelServer
from tests.support.redis_server import RedisServer
from tests.support.telemetry import Captured, capturing

pytestmark = pytest.mark.anyio

ADA_JSON = {"x-user-id": "ada", "content-type": "application/json"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def session_cache(redis: RedisServer) -> dict[str, Any]:
    """With a session cache."""
    return {"redis_socket": str(redis.socket)}


@pytest.fixture
def captured() -> Iterator[Captured]:
    """The telemetry of one test."""
    with capturing() as telemetry:
        yield telemetry


async def test_a_turn_has_three_spans(keepsake: Keepsake, captured: Captured) -> None:
    """The request contains the model call and the commit, with the convention's names only."""
    await keepsake.chat("Hello")
    server, model = captured.span("chat", SpanKind.SERVER), captured.span("chat", SpanKind.CLIENT)
    commit = captured.span("append_turn", SpanKind.INTERNAL)
    assert {span.parent.span_id for span in (model, commit) if span.parent} == {
        server.context.span_id
    }
    assert dict(server.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/api/chat",
        "http.response.status_code": 200,
    }
    attributes = dict(model.attributes or {})
    assert attributes.pop("gen_ai.usage.input_tokens")
    assert attributes.pop("gen_ai.usage.output_tokens")
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "scripted",
        "gen_ai.response.finish_reasons": ("stop",),
        "server.address": "127.0.0.1",
    }


async def test_each_call_of_a_store_has_its_span(keepsake: Keepsake, captured: Captured) -> None:
    """A warm turn has a span for each counted call; the write is within the commit."""
    await keepsake.chat("First")
    spans_before = len(captured.spans)
    usage = (await keepsake.chat("Hello")).json()["usage"]
    spans = [
        span
        for span in captured.spans[spans_before:]
        if "db.system.name" in (span.attributes or {})
    ]
    assert sorted(span.name for span in spans) == [
        "EVALSHA close_turn",
        "EVALSHA open_turn",
        "execute_batch memory",
        "read_item memory",
        "read_item preferences",
    ]
    assert len(spans) == usage["cosmos_calls"] + usage["redis_calls"]
    server, commit = captured.spans[-1], captured.last("append_turn")
    parents = {span.name: span.parent and span.parent.span_id for span in spans}
    assert parents.pop("execute_batch memory") == commit.context.span_id
    assert set(parents.values()) == {server.context.span_id}


async def test_a_stores_span_contains_no_content(
    keepsake: Keepsake, captured: Captured, redis: RedisServer
) -> None:
    """A store's span has operation, target and status, but no key, id, parameter or query text."""
    await keepsake.chat("Hello")
    await keepsake.get("/sessions")
    query, script = captured.last("query_items memory"), captured.last("EVALSHA open_turn")
    assert (query.kind, dict(query.attributes or {})) == (
        SpanKind.CLIENT,
        {
            "db.system.name": "azure.cosmosdb",
            "db.operation.name": "query_items",
            "db.collection.name": "memory",
            "db.response.status_code": "200",
            "server.address": "cosmos-local.localhost",
        },
    )
    assert (script.kind, dict(script.attributes or {})) == (
        SpanKind.CLIENT,
        {
            "db.system.name": "redis",
            "db.operation.name": "EVALSHA",
            "db.stored_procedure.name": "open_turn",
            "server.address": str(redis.socket),
        },
    )


@pytest.mark.parametrize(
    ("fault", "name", "outcome"),
    [
        (
            Fault(status=503, kind="read", path="/preferences"),
            "read_item preferences",
            ("503", "503"),
        ),
        (Fault(kind="batch"), "execute_batch memory", (None, "ServiceRequestError")),
        (Fault(status=412, kind="batch"), "execute_batch memory", ("412", None)),
        (None, "read_item preferences", ("404", None)),
    ],
    ids=["unavailable", "lost", "lost race", "not found"],
)
async def test_a_stores_span_has_its_outcome(
    keepsake: Keepsake,
    captured: Captured,
    cosmos: LocalCosmos,
    fault: Fault | None,
    name: str,
    outcome: tuple[str | None, str | None],
) -> None:
    """A failure has a type; a missing item or a failed condition is not a failure."""
    await keepsake.chat("First")
    spans_before = len(captured.spans)
    if fault:
        cosmos.faults.add(fault)
    await keepsake.chat("Hello")
    span = next(span for span in captured.spans[spans_before:] if span.name == name)
    attributes = span.attributes or {}
    assert (attributes.get("db.response.status_code"), attributes.get("error.type")) == outcome
    assert span.status.is_ok == (outcome[1] is None)


async def test_an_unavailable_store_has_a_failed_span(
    keepsake: Keepsake, captured: Captured, redis: RedisServer
) -> None:
    """Without Redis its span has failed, and the next turn does not use Redis for a while."""
    redis.stop()
    await keepsake.chat("Hello")
    opened = captured.last("EVALSHA open_turn")
    spans_before = len(captured.spans)
    await keepsake.chat("Hello again")
    assert (opened.status.is_ok, (opened.attributes or {})["error.type"]) == (
        False,
        "ConnectionError",
    )
    assert [
        span.name for span in captured.spans[spans_before:] if span.name.startswith("EVALSHA")
    ] == []


async def test_retrieval_is_timed_for_cold_and_warm_turns(
    keepsake: Keepsake, captured: Captured
) -> None:
    """Each answered turn records the duration of its retrieval, and whether it was warm."""
    before = captured.counts("agent_memory.retrieval.duration", "agent_memory.turn.start")
    for turn in ("a", "b", "c", "c"):
        await keepsake.chat("Hello", turn_id=turn)
    after = captured.counts("agent_memory.retrieval.duration", "agent_memory.turn.start")
    assert {start: after[start] - before.get(start, 0) for start in after} == {"cold": 1, "warm": 2}


async def test_a_failed_call_has_an_error_type(
    keepsake: Keepsake, captured: Captured, model: ModelServer
) -> None:
    """A failed model call has an error type on both spans, and no exception is recorded."""
    model.fail_next(500)
    await keepsake.chat("Hello")
    call, server = captured.span("chat", SpanKind.CLIENT), captured.span("chat", SpanKind.SERVER)
    assert (call.attributes or {})["error.type"] == "InternalServerError"
    assert (server.attributes or {})["error.type"] == "model_unavailable"
    assert [span.events for span in captured.spans if span.events] == []


async def test_all_metrics_are_recorded(
    keepsake: Keepsake, captured: Captured, redis: RedisServer
) -> None:
    """The convention's metrics and our own are recorded, and no dimension identifies a user."""
    before = {name: captured.total(name) for name in OWN_METRICS}
    for turn in ("a", "a"):
        await keepsake.chat("Hello", turn_id=turn)
    redis.stop()
    await keepsake.chat("Hello", turn_id="b")
    async with keepsake.client() as client:
        await client.post("/sessions/s/consolidate")
    increased = {name for name in OWN_METRICS if captured.total(name) > before[name]}
    assert increased == OWN_METRICS
    assert {key for _, dimensions, _ in captured.points for key in dimensions} <= DIMENSIONS


async def test_a_lost_race_is_counted(
    keepsake: Keepsake, captured: Captured, cosmos: LocalCosmos
) -> None:
    """A commit that loses a race counts as one conflict."""
    await keepsake.chat("First")
    before = captured.total("agent_memory.store.conflicts")
    cosmos.faults.add(Fault(status=412, kind="batch"))
    await keepsake.chat("Second")
    assert captured.total("agent_memory.store.conflicts") == before + 1


def test_no_telemetry_name_is_for_content() -> None:
    """We use none of the convention's names for messages, queries and users."""
    ours = {value for key, value in vars(names).items() if key.isupper() and isinstance(value, str)}
    content_names = [
        name
        for name in ours
        if name.rsplit(".", 1)[-1] in {"messages", "text", "records", "content", "id"}
    ]
    assert (content_names, "gen_ai.system_instructions" in ours) == ([], False)


async def test_a_request_is_logged_in_one_line(keepsake: Keepsake, captured: Captured) -> None:
    """The line has the operation, outcome, digests and usage."""
    await keepsake.chat("First")
    answer = await keepsake.chat("Hello", turn_id="t")
    line = captured.requests[-1]
    assert line.pop("ms") > 0
    assert line.pop("request_units") > 0
    usage = answer.json()["usage"]
    assert line == {
        "operation": "chat",
        "status": 200,
        "actor": digest("local"),
        "subject": digest("ada"),
        "replayed": False,
        "prompt_tokens": usage["prompt_tokens"],
        "completion_tokens": usage["completion_tokens"],
        "embedding_tokens": 0,
        "cosmos_calls": 3,
        "redis_calls": 2,
        "model_calls": 1,
        "request_id": answer.headers["x-ms-request-id"],
    }


async def test_an_unresolved_digest_key_is_logged_and_not_used(
    cosmos: LocalCosmos, model: ModelServer, captured: Captured
) -> None:
    """Before a first deployment's role assignments apply, a worker uses a digest key of its own."""
    before = digest("ada")
    reference = "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/one)"
    async with running(cosmos, model, log_digest_key=reference) as app:
        assert (await app.chat("Hello")).status_code == 200
    assert digest("ada") == before
    assert "log_digest_key_unresolved" in captured.everything()
    assert reference not in captured.everything()


async def test_a_requests_duration_includes_waiting_for_the_app(
    keepsake: Keepsake, captured: Captured
) -> None:
    """On a cold worker, span and line include the time before the app was ready."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None:
        pass

    arrived_earlier = {"method": "GET", "state": {"received_at": time.perf_counter() - 60}}
    await keepsake.api(_scope("/api/health") | arrived_earlier, receive, send)
    span = captured.span("read_health", SpanKind.SERVER)
    assert captured.requests[-1]["ms"] >= 60_000
    assert (span.end_time or 0) - (span.start_time or 0) >= 60e9


async def test_replays_and_degraded_turns_are_logged(
    keepsake: Keepsake, captured: Captured, redis: RedisServer
) -> None:
    """A replay, and a turn without the session cache."""
    await keepsake.chat("Hello", turn_id="t")
    await keepsake.chat("Hello", turn_id="t")
    redis.stop()
    await keepsake.chat("Hello again")
    logged = [
        (line["replayed"], line.get("degraded"), line["model_calls"]) for line in captured.requests
    ]
    assert logged == [(False, None, 1), (True, None, 0), (False, "session_cache", 1)]


async def test_refused_requests_are_logged(keepsake: Keepsake, captured: Captured) -> None:
    """Refused requests are logged with status and code, and without names chosen by callers."""
    async with keepsake.client(None) as client:
        await client.get("/sessions")
        await client.post("/chat", content=b" " * (MAX_BODY_BYTES + 1), headers=ADA_JSON)
        await client.get("/sessions-of-ada?q=secret")
    logged = [(line["operation"], line["status"], line["error_code"]) for line in captured.requests]
    assert logged == [
        ("list_sessions", 401, "principal_required"),
        ("chat", 413, "too_large"),
        ("unmatched", 404, "not_found"),
    ]


@pytest.mark.parametrize(
    ("behaviour", "outcome", "code"),
    [
        (Behaviour(), "done", None),
        (Behaviour(breaks_off_after=2), "model_unavailable", "model_unavailable"),
    ],
)
async def test_a_streams_outcome_is_logged(
    keepsake: Keepsake,
    captured: Captured,
    model: ModelServer,
    behaviour: Behaviour,
    outcome: str,
    code: str | None,
) -> None:
    """The status was sent before, so the line is written at the end, with the outcome."""
    model.script.append(behaviour)
    await keepsake.chat("Hello", stream=True)
    line = captured.requests[-1]
    assert (line["status"], line["stream"], line.get("error_code")) == (200, outcome, code)
    assert captured.span("chat", SpanKind.SERVER).status.is_ok == (code is None)


@pytest.mark.parametrize("deadlines", [replace(PATIENT, drain=20)])
async def test_a_disconnected_stream_is_logged(
    keepsake: Keepsake, captured: Captured, model: ModelServer
) -> None:
    """A disconnect after the first bytes is `left`, no error, and the turn is interrupted."""
    model.script.append(Behaviour(text="word " * 50, chunk_delay=0.02))
    body = b'{"message": "Hello", "stream": true}'
    incoming: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        return incoming.pop() if incoming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    before = captured.total("agent_memory.turns.interrupted")
    await keepsake.api(_scope("/api/chat"), receive, send)
    line = captured.requests[-1]
    assert (line["operation"], line["status"], line["stream"], line.get("error_code")) == (
        "chat",
        200,
        "left",
        None,
    )
    assert captured.span("chat", SpanKind.SERVER).status.is_ok
    services = await keepsake.composition.services()
    await services.chat.drain()
    assert captured.total("agent_memory.turns.interrupted") == before + 1


async def test_a_disconnect_before_the_answer_is_logged(
    keepsake: Keepsake, captured: Captured, model: ModelServer
) -> None:
    """A request without a client to answer is logged as 499, as proxies do, and `left`."""
    model.slow_next(5)
    request = asyncio.create_task(keepsake.chat("Hello"))
    await model.wait_for_requests(1)
    request.cancel()
    await asyncio.wait({request})
    line = captured.requests[-1]
    assert (line["operation"], line["status"], line["stream"]) == ("chat", 499, "left")


async def test_the_callers_trace_is_continued_without_its_baggage(
    keepsake: Keepsake, captured: Captured
) -> None:
    """`traceparent` makes our span a child; tracestate and baggage are dropped."""
    headers = {
        "traceparent": f"00-{TRACE}-{PARENT}-01",
        "tracestate": "who=zorro",
        "baggage": "who=zorro",
    }
    async with keepsake.client() as client:
        await client.get("/sessions", headers=headers)
    span = captured.span("list_sessions", SpanKind.SERVER)
    assert span.parent
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert "zorro" not in captured.everything()  # cannot occur in hexadecimal ids


async def test_the_platforms_trace_takes_precedence(keepsake: Keepsake, captured: Captured) -> None:
    """The context that the Functions worker attached is the parent."""
    attached = SpanContext(
        int("a" * 32, 16), int("b" * 16, 16), is_remote=True, trace_flags=TraceFlags(1)
    )
    async with keepsake.client() as client:
        with use_span(NonRecordingSpan(attached)):
            await client.get("/sessions", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    span = captured.span("list_sessions", SpanKind.SERVER)
    assert span.parent
    assert (span.context.trace_id, span.parent.span_id) == (attached.trace_id, attached.span_id)


def _scope(path: str) -> dict[str, Any]:
    headers = [
        (b"host", b"127.0.0.1"),
        (b"x-user-id", b"ada"),
        (b"content-type", b"application/json"),
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


OWN_METRICS = {
    "gen_ai.client.operation.duration",
    "gen_ai.client.token.usage",
    "agent_memory.turns.appended",
    "agent_memory.turns.replayed",
    "agent_memory.turns.degraded",
    "agent_memory.turns.summarised",
    "agent_memory.retrieval.duration",
    "agent_memory.cosmos.request_charge",
    "agent_memory.redis.unavailable",
}
DIMENSIONS = {
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.token.type",
    "server.address",
    "error.type",
    "db.response.status_code",
    "agent_memory.turn.status",
    "agent_memory.turn.start",
    "agent_memory.degraded.reason",
    "agent_memory.summary.extractive",
    "agent_memory.dead_lettered.reason",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "network.protocol.version",
    "url.scheme",
}


async def test_a_search_span_contains_its_parts(
    cosmos: LocalCosmos, model: ModelServer, captured: Captured
) -> None:
    """The search contains the embedding and each query, and records the number of hits only."""
    async with running(cosmos, model, embedding_model="scripted") as app:
        await app.chat("My racing bicycle is painted turquoise", session_id="monday")
        spans_before = len(captured.spans)
        await app.chat("What colour is the bicycle?", session_id="tuesday")
    spans = captured.spans[spans_before:]
    search = next(span for span in spans if span.name == "search_memory")
    children = [
        span.name for span in spans if span.parent and span.parent.span_id == search.context.span_id
    ]
    assert sorted(children) == ["embeddings", *["query_items memory"] * 3]
    assert (search.kind, dict(search.attributes or {})) == (
        SpanKind.INTERNAL,
        {"gen_ai.operation.name": "search_memory", "gen_ai.memory.record.count": 1},
    )
    attributes = dict(next(span for span in spans if span.name == "embeddings").attributes or {})
    assert attributes.pop("gen_ai.usage.input_tokens")
    assert attributes == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "scripted",
        "server.address": "127.0.0.1",
    }


async def test_the_relevance_of_recalled_turns_is_recorded(
    cosmos: LocalCosmos, model: ModelServer, captured: Captured
) -> None:
    """The similarity of each recalled turn found by meaning is recorded once."""
    async with running(cosmos, model, embedding_model="scripted") as app:
        await app.chat("My racing bicycle is painted turquoise", session_id="monday")
        before = captured.total(names.RELEVANCE)
        answer = (await app.chat("What colour is the bicycle?", session_id="tuesday")).json()
        recorded = captured.total(names.RELEVANCE) - before
        await app.chat("bicycle", session_id="wednesday")  # found by keyword only: no similarity
        after = captured.total(names.RELEVANCE) - before
    scores = [entry["score"] for entry in answer["context"] if entry["section"] == "recalled_turns"]
    assert recorded == pytest.approx(sum(scores))
    assert after == pytest.approx(recorded)
    assert scores[0] > 0.25


async def test_summarising_and_deleting_are_memory_operations(
    cosmos: LocalCosmos, model: ModelServer, captured: Captured
) -> None:
    """Both use the convention's names."""
    async with running(cosmos, model) as app, app.client() as client:
        await app.chat("My cat is called Mina.")
        await client.post("/sessions/s/consolidate")
        await client.delete("/sessions/s")
    written, deleted = captured.last("upsert_memory"), captured.last("delete_memory")
    assert dict(written.attributes or {}) == {
        "gen_ai.operation.name": "upsert_memory",
        "gen_ai.memory.record.count": 1,
    }
    assert dict(deleted.attributes or {}) == {"gen_ai.operation.name": "delete_memory"}
