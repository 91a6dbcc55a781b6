"""Streaming: events while the model generates, over a real server, to several clients."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
import pytest
from openai import AsyncOpenAI, AsyncStream

from local.model import Behaviour
from local.serving import address_of, listen, serving
from shared.domain.deadlines import Deadlines
from shared.services.turns.stream import EVENTS_AHEAD
from tests.support.app import Keepsake
from tests.support.ask import a_chat_request
from tests.support.model_server import REFUSAL, ModelServer

pytestmark = pytest.mark.anyio

Value = TypeVar("Value")
LONG = "one two three four five six seven eight nine ten"
Event = tuple[str, dict[str, Any]]
STREAM = {"accept": "text/event-stream"}


async def test_events_arrive_in_order(keepsake: Keepsake) -> None:
    """`context` comes first, then the deltas, then `done` with the whole answer."""
    await keepsake.chat("First")
    async with _served(keepsake) as client:
        events = await _read(client, message="Hello", turn_id="t")
    names = [name for name, _ in events]
    assert names == ["context", *["delta"] * (len(names) - 2), "done"]
    assert events[0][1]["context"][0]["section"] == "history"
    done = events[-1][1]
    assert "".join(event["text"] for name, event in events if name == "delta") == done["reply"]
    assert (done["seq"], done["replayed"], done["replaced"], done["finish_reason"]) == (
        2,
        False,
        False,
        "stop",
    )
    assert done["usage"]["completion_tokens"] > 0


async def test_the_first_delta_is_sent_while_the_model_generates(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The first delta arrives before the model has sent its last chunk."""
    model.script.append(Behaviour(text=LONG, chunk_delay=0.05))
    before = model.chunks_sent
    async with _served(keepsake) as client, _open(client, message="Hello") as response:
        async for line in response.aiter_lines():
            if line.startswith("event: delta"):
                sent_at_first_delta = model.chunks_sent - before
                break
    assert sent_at_first_delta < 5


async def test_a_replayed_turn_is_streamed_too(keepsake: Keepsake, model: ModelServer) -> None:
    """A resend streams the stored reply without a model call."""
    async with _served(keepsake) as client:
        first = await _read(client, message="Hello", turn_id="t")
        again = await _read(client, message="Hello", turn_id="t")
    assert [name for name, _ in again] == ["context", "delta", "done"]
    assert (again[-1][1]["reply"], again[-1][1]["replayed"]) == (first[-1][1]["reply"], True)
    assert len(model.requests) == 1


async def test_disconnecting_stops_generation_and_stores_the_partial_reply(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The partial reply is stored as interrupted; a resend replays it, a new turn_id asks again."""
    model.script.append(Behaviour(text=LONG * 20, chunk_delay=0.02))
    async with _served(keepsake) as client:
        async with _open(client, message="Hello", turn_id="t") as response:
            async for line in response.aiter_lines():
                if line.startswith("event: delta"):
                    break
        await model.until_idle()
        events = await _read(client, message="Hello", turn_id="t")
    turns = await keepsake.transcript()
    reply = turns[0]["messages"][-1]["content"]
    assert (turns[0]["status"], events[-1][1]["reply"], events[-1][1]["replayed"]) == (
        "interrupted",
        reply,
        True,
    )
    assert (LONG * 20).startswith(reply)
    assert len(reply) < len(LONG) * 10
    assert (await keepsake.chat("Hello", turn_id="another")).json()["replayed"] is False


async def test_a_slow_reader_applies_backpressure(keepsake: Keepsake, model: ModelServer) -> None:
    """The number of events buffered for a slow reader is bounded; generation waits."""
    services = await keepsake.composition.services()
    model.script.append(Behaviour(text="word " * 4000))
    stream = services.chat.stream(a_chat_request())
    await stream.receive()
    async with asyncio.timeout(10):
        while not stream._events.full():  # noqa: ASYNC110 - a queue has no event for being full
            await asyncio.sleep(0.005)
    assert await keepsake.transcript() == []
    stream.leave(interrupt=True)
    await model.until_idle()


async def test_a_reader_that_stops_at_the_end_does_not_block_the_turn(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A turn completes even if its reader stops reading while the last events are queued."""
    services = await keepsake.composition.services()
    model.script.append(Behaviour(text="word " * EVENTS_AHEAD))
    stream = services.chat.stream(a_chat_request())
    await stream.receive()
    await _wait_until(keepsake.transcript, lambda turns: len(turns) == 1)
    stream.leave(interrupt=True)
    _, late = await asyncio.wait(
        {*services.chat._running, asyncio.create_task(asyncio.sleep(0))}, timeout=10
    )
    assert late == set()


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [
        (
            Behaviour(status=429, headers={"retry-after": "3600"}, body="{}"),
            503,
            "model_unavailable",
        ),
        (Behaviour(status=500, body="{}"), 503, "model_unavailable"),
        (Behaviour(body="<html>Sign in</html>"), 503, "model_unavailable"),
        (Behaviour(text=""), 503, "model_unavailable"),
        (Behaviour(text="a b c", breaks_off_after=0), 503, "model_unavailable"),
        (REFUSAL, 422, "content_filtered"),
        (Behaviour(text="", finish_reason="content_filter"), 422, "content_filtered"),
    ],
)
async def test_a_failure_before_the_first_token_has_an_error_status_f15_f16_f17(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour, status: int, code: str
) -> None:
    """As nothing has been streamed yet, the response is an ordinary error."""
    model.script.append(behaviour)
    async with _served(keepsake) as client:
        answer = await client.post(
            "/api/chat", json={"message": "Hello", "session_id": "s"}, headers=STREAM
        )
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("behaviour", "code", "stored"),
    [
        (Behaviour(text=LONG, breaks_off_after=3), "model_unavailable", []),
        (Behaviour(text=LONG, finish_reason="content_filter"), "content_filtered", ["refused"]),
    ],
)
async def test_a_later_failure_is_an_error_event_f16_f17(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour, code: str, stored: list[str]
) -> None:
    """Deltas are provisional: after an error, nothing of the reply is stored."""
    model.script.append(behaviour)
    async with _served(keepsake) as client:
        events = await _read(client, message="Hello", turn_id="t")
    assert (events[-1][0], events[-1][1]["error"]["code"]) == ("error", code)
    async with keepsake.client() as client:
        page = (await client.get("/sessions/s/turns")).json()
    assert [turn["status"] for turn in page.get("value", [])] == stored


async def test_a_truncated_reply_is_marked(keepsake: Keepsake, model: ModelServer) -> None:
    """A reply cut off at its limit is stored and marked."""
    model.script.append(Behaviour(text="Once upon", finish_reason="length"))
    async with _served(keepsake) as client:
        events = await _read(client, message="Hello")
    assert (events[-1][1]["reply"], events[-1][1]["finish_reason"]) == ("Once upon", "length")


@pytest.mark.parametrize("deadlines", [Deadlines(first_token=0.2, stream=3.4)])
@pytest.mark.parametrize("behaviour", [Behaviour(delay=30), Behaviour(text=LONG, chunk_delay=30)])
async def test_a_stream_from_a_hanging_model_times_out_f15(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour
) -> None:
    """Without a first token or an end in time, the turn fails and nothing is stored."""
    model.script.append(behaviour)
    async with _served(keepsake) as client:
        answer = await client.post(
            "/api/chat", json={"message": "Hello", "session_id": "s"}, headers=STREAM
        )
    assert "model_unavailable" in answer.text
    assert (await keepsake.get("/sessions"))["value"] == []


@pytest.mark.parametrize("deadlines", [Deadlines(turn=3.2)])
async def test_a_json_reply_from_a_hanging_model_times_out_f15(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Without streaming, the deadline covers the whole reply."""
    model.script.append(Behaviour(delay=30))
    answer = await keepsake.chat("Hello")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")


@pytest.mark.parametrize("deadlines", [Deadlines(stream_ping=0.02)])
async def test_a_silent_stream_sends_pings(keepsake: Keepsake, model: ModelServer) -> None:
    """A comment line keeps the connection alive."""
    model.script.append(Behaviour(text="one two", chunk_delay=0.2))
    async with _served(keepsake) as client:
        answer = await client.post("/api/chat", json={"message": "Hello"}, headers=STREAM)
    assert answer.text.count(": ping\n\n") > 3
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("headers", [{}, STREAM])
async def test_the_answer_can_be_collected_after_the_callers_deadline(
    keepsake: Keepsake, model: ModelServer, headers: dict[str, str]
) -> None:
    """After x-request-deadline-ms the turn goes on, and a resend gets its answer."""
    model.script.append(Behaviour(text=LONG, delay=0.5))  # more chunks than a stream buffers
    body = {"message": "Hello", "session_id": "s", "turn_id": "t"}
    async with keepsake.client() as client:
        timed_out = await client.post(
            "/chat", json=body, headers=headers | {"x-request-deadline-ms": "100"}
        )
        assert (timed_out.status_code, timed_out.json()["error"]["code"]) == (
            409,
            "turn_in_progress",
        )
        await _wait_until(keepsake.transcript, lambda turns: len(turns) == 1)
        answer = await client.post("/chat", json=body)
    assert answer.json()["reply"] == LONG
    assert len(model.requests) == 1
    assert len(await keepsake.transcript()) == 1


@pytest.mark.parametrize("headers", [{}, STREAM])
async def test_a_deadline_header_needs_a_turn_id(
    keepsake: Keepsake, model: ModelServer, headers: dict[str, str]
) -> None:
    """Without a turn id the answer could not be collected: a resend would be another turn."""
    async with keepsake.client() as client:
        headers = headers | {"x-request-deadline-ms": "100"}
        answer = await client.post(
            "/chat", json={"message": "Hello", "session_id": "s"}, headers=headers
        )
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "turn_id")
    assert model.requests == []


async def test_the_first_event_names_the_turn(keepsake: Keepsake) -> None:
    """A client that disconnects without having chosen ids can still ask for the rest."""
    async with keepsake.client() as client:
        answer = await client.post("/chat", json={"message": "Hello"}, headers=STREAM)
        started = json.loads(answer.text.split("data: ", 1)[1].split("\n", 1)[0])
        again = await client.post("/chat", json={"message": "Hello", "turn_id": started["turn_id"]})
    assert (again.json()["replayed"], again.json()["session_id"]) == (True, started["session_id"])


@pytest.mark.parametrize("deadlines", [Deadlines(first_token=2.5)])
async def test_a_streamed_tool_call_counts_as_a_first_token(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A model that streams only tool calls does not count as silent."""
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for n in range(6)
    ]
    model.script.append(Behaviour(text="", tool_calls=calls, chunk_delay=0.5))
    answer = await keepsake.chat(
        "Hello", tools=[{"type": "function", "function": {"name": "f"}}], stream=True
    )
    assert "event: done" in answer.text


async def test_a_cancelled_request_leaves_no_turn_running(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Cancelling a request before the first event interrupts its turn and frees its lease."""
    model.script.append(Behaviour(text="word " * 60, delay=0.3, chunk_delay=0.01))
    turn = {"message": "Hello", "session_id": "s", "turn_id": "t"}
    request = asyncio.create_task(keepsake.chat("Hello", turn_id="t", stream=True))
    await model.wait_for_requests(1)
    request.cancel()
    await asyncio.wait({request})
    services = await keepsake.composition.services()
    async with asyncio.timeout(10):
        while services.chat._running:  # noqa: ASYNC110 - the end of a turn signals no event
            await asyncio.sleep(0.02)
    async with keepsake.client() as client:
        assert (await client.post("/chat", json=turn)).status_code == 200


async def test_tool_calls_and_results_stay_paired(keepsake: Keepsake, model: ModelServer) -> None:
    """A tool call, its result in the next turn, and later history stay together."""
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "find_order", "arguments": '{"number": 7}'},
    }
    model.script.append(Behaviour(text="", tool_calls=(call,), finish_reason="tool_calls"))
    tool = {
        "type": "function",
        "function": {"name": "find_order", "parameters": {"type": "object"}},
    }
    call_turn = (await keepsake.chat("Where is order 7?", tools=[tool])).json()
    async with keepsake.client() as client:
        result = {"tool_call_id": "c1", "content": "shipped"}
        body = {"session_id": "s", "messages": [result], "tools": [tool], "turn_id": "r"}
        answers = [(await client.post("/chat", json=body)).json() for _ in range(2)]
    await keepsake.chat("Thanks", tools=[tool])
    assert (call_turn["tool_calls"][0]["function"]["name"], call_turn["finish_reason"]) == (
        "find_order",
        "tool_calls",
    )
    assert model.requests[0]["tools"] == [tool]
    assert [m["role"] for m in model.requests[1]["messages"] if m["role"] != "system"] == [
        "user",
        "assistant",
        "tool",
    ]
    assert [answer["replayed"] for answer in answers] == [False, True]
    roles = [m["role"] for m in model.requests[2]["messages"] if m["role"] != "system"]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


async def test_an_unmatched_tool_result_is_refused(keepsake: Keepsake, model: ModelServer) -> None:
    """A tool result without its call is 400: no model call, nothing stored."""
    await keepsake.chat("Hello")
    async with keepsake.client() as client:
        body = {"session_id": "s", "messages": [{"tool_call_id": "c1", "content": "shipped"}]}
        answer = await client.post("/chat", json=body)
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "messages")
    assert (len(model.requests), len(await keepsake.transcript())) == (1, 1)


async def test_streamed_tool_calls_arrive_whole(keepsake: Keepsake, model: ModelServer) -> None:
    """A reply that is only a tool call has no text deltas; the call is in `done`."""
    call = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": "{}"}}
    model.script.append(Behaviour(text="", tool_calls=(call,), finish_reason="tool_calls"))
    async with _served(keepsake) as client:
        events = await _read(client, message="Where is it?")
    assert [name for name, _ in events] == ["context", "delta", "done"]
    assert events[-1][1]["tool_calls"] == [call]


async def test_the_openai_package_reads_the_stream(keepsake: Keepsake) -> None:
    """The openai package's stream reader understands our events."""
    async with _served(keepsake) as client:
        reader = AsyncOpenAI(
            base_url=str(client.base_url.join("/api")),
            api_key="none",
            default_headers=client.headers,
        )
        body = {"message": "Hello", "stream": True}
        stream = await reader.post(
            "/chat", body=body, cast_to=object, stream=True, stream_cls=AsyncStream[object]
        )
        events = [event async for event in stream]
        await reader.close()
    known = {"context", "text", "replaced"}
    # events are mappings, typed as object
    keys = [key for event in events for key in event if key in known]  # type: ignore[attr-defined]
    assert keys[-1] == "replaced"


@pytest.mark.skipif(shutil.which("node") is None, reason="Node stands in for a browser's fetch")
async def test_a_browser_reads_the_stream(keepsake: Keepsake, model: ModelServer) -> None:
    """`fetch` with a stream reader and a text decoder receives the reply in several parts."""
    model.script.append(Behaviour(text=LONG, chunk_delay=0.02))
    script = """
      const r = await fetch(process.argv[1] + "/api/chat", {
        method: "POST",
        body: JSON.stringify({message: "Hello"}),
        headers: {
          "content-type": "application/json", "accept": "text/event-stream", "x-user-id": "ada",
        },
      });
      let reads = 0, text = "";
      for await (const part of r.body.pipeThrough(new TextDecoderStream())) {
        reads++;
        text += part;
      }
      const names = [...text.matchAll(/^event: (\\w+)$/gm)].map(m => m[1]);
      console.log(JSON.stringify({reads, names}));
    """
    async with _served(keepsake) as client:
        command = ["node", "--input-type=module", "-e", script, str(client.base_url).rstrip("/")]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, check=True, timeout=20
        )
    output = json.loads(done.stdout)
    assert output["names"] == ["context", *["delta"] * 10, "done"]
    assert output["reads"] > 3


@asynccontextmanager
async def _served(keepsake: Keepsake) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the application on a real port: in-process transports buffer a stream until it ends."""
    front = listen(0)
    async with serving(keepsake.api, front):
        headers = {"x-user-id": "ada"}
        async with httpx.AsyncClient(
            base_url=address_of(front), headers=headers, timeout=20
        ) as client:
            yield client


@asynccontextmanager
async def _open(client: httpx.AsyncClient, **body: Any) -> AsyncIterator[httpx.Response]:
    async with client.stream(
        "POST", "/api/chat", json={"session_id": "s"} | body, headers=STREAM
    ) as response:
        assert response.status_code == 200
        yield response


async def _read(client: httpx.AsyncClient, **body: Any) -> list[Event]:
    async with _open(client, **body) as response:
        text = (await response.aread()).decode()
    blocks = [
        block.split("\n") for block in text.strip().split("\n\n") if not block.startswith(":")
    ]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in blocks
    ]


async def _wait_until(
    read: Callable[[], Awaitable[Value]], is_met: Callable[[Value], bool]
) -> Value:
    async with asyncio.timeout(10):
        while not is_met(value := await read()):  # noqa: ASYNC110 - the store signals no event
            await asyncio.sleep(0.02)
    return value
