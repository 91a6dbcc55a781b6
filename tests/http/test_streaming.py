"""Streaming: events while the model writes, through a real server, to clients of every kind."""

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


async def test_events_come_in_their_order(keepsake: Keepsake) -> None:
    """`context`, then `delta` by `delta`, then `done` with the whole answer."""
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


async def test_the_first_delta_leaves_while_the_model_still_writes(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """When the first piece arrives the model has not written its last."""
    model.script.append(Behaviour(text=LONG, piece_delay=0.05))
    before = model.pieces_sent
    async with _served(keepsake) as client, _open(client, message="Hello") as response:
        async for line in response.aiter_lines():
            if line.startswith("event: delta"):
                sent_at_first_delta = model.pieces_sent - before
                break
    assert sent_at_first_delta < 5


async def test_a_replayed_turn_streams_too(keepsake: Keepsake, model: ModelServer) -> None:
    """A resend gets the same events' worth, without the model."""
    async with _served(keepsake) as client:
        first = await _read(client, message="Hello", turn_id="t")
        again = await _read(client, message="Hello", turn_id="t")
    assert [name for name, _ in again] == ["context", "delta", "done"]
    assert (again[-1][1]["reply"], again[-1][1]["replayed"]) == (first[-1][1]["reply"], True)
    assert len(model.requests) == 1


async def test_who_hangs_up_ends_the_model_call_and_the_part_is_kept(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The partial reply is stored as interrupted; a resend replays it, a new turn_id asks again."""
    model.script.append(Behaviour(text=LONG * 20, piece_delay=0.02))
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


async def test_a_slow_reader_holds_the_model_back(keepsake: Keepsake, model: ModelServer) -> None:
    """What is written ahead of a reader is bounded: the turn waits, its memory does not grow."""
    services = await keepsake.composition.services()
    model.script.append(Behaviour(text="word " * 4000))
    stream = services.chat.stream(a_chat_request())
    await stream.receive()
    async with asyncio.timeout(10):
        while not stream._events.full():  # noqa: ASYNC110 - a queue tells nobody that it is full
            await asyncio.sleep(0.005)
    assert await keepsake.transcript() == []
    stream.leave(interrupt=True)
    await model.until_idle()


async def test_a_reader_who_leaves_at_the_end_holds_nothing_back(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """All pieces wait for a reader, and the end for room behind them: without a reader the turn comes to its end."""
    services = await keepsake.composition.services()
    model.script.append(Behaviour(text="word " * EVENTS_AHEAD))
    stream = services.chat.stream(a_chat_request())
    await stream.receive()
    await _until(keepsake.transcript, lambda turns: len(turns) == 1)
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
async def test_what_fails_before_the_first_token_has_its_status_f15_f16_f17(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour, status: int, code: str
) -> None:
    """Nothing was streamed yet, so the answer is an error like any other."""
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
async def test_what_fails_later_is_an_error_event_f16_f17(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour, code: str, stored: list[str]
) -> None:
    """Deltas are provisional: after an error nothing of them is kept, and a refused turn has no reply."""
    model.script.append(behaviour)
    async with _served(keepsake) as client:
        events = await _read(client, message="Hello", turn_id="t")
    assert (events[-1][0], events[-1][1]["error"]["code"]) == ("error", code)
    async with keepsake.client() as client:
        page = (await client.get("/sessions/s/turns")).json()
    assert [turn["status"] for turn in page.get("value", [])] == stored


async def test_length_is_passed_on(keepsake: Keepsake, model: ModelServer) -> None:
    """A reply cut at its limit is kept, and says so."""
    model.script.append(Behaviour(text="Once upon", finish_reason="length"))
    async with _served(keepsake) as client:
        events = await _read(client, message="Hello")
    assert (events[-1][1]["reply"], events[-1][1]["finish_reason"]) == ("Once upon", "length")


@pytest.mark.parametrize("deadlines", [Deadlines(first_token=0.2, stream=3.4)])
@pytest.mark.parametrize("behaviour", [Behaviour(delay=30), Behaviour(text=LONG, piece_delay=30)])
async def test_a_model_that_hangs_is_given_up_f15(
    keepsake: Keepsake, model: ModelServer, behaviour: Behaviour
) -> None:
    """No first token in time, or no end in time: 503 or an error event, and nothing is stored."""
    model.script.append(behaviour)
    async with _served(keepsake) as client:
        answer = await client.post(
            "/api/chat", json={"message": "Hello", "session_id": "s"}, headers=STREAM
        )
    assert "model_unavailable" in answer.text
    assert (await keepsake.get("/sessions"))["value"] == []


@pytest.mark.parametrize("deadlines", [Deadlines(turn=3.2)])
async def test_a_json_answer_that_hangs_is_given_up_f15(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Without streaming the whole reply has a deadline."""
    model.script.append(Behaviour(delay=30))
    answer = await keepsake.chat("Hello")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")


@pytest.mark.parametrize("deadlines", [Deadlines(stream_ping=0.02)])
async def test_while_nothing_is_said_a_ping_is(keepsake: Keepsake, model: ModelServer) -> None:
    """A comment line keeps the connection from being taken for dead."""
    model.script.append(Behaviour(text="one two", piece_delay=0.2))
    async with _served(keepsake) as client:
        answer = await client.post("/api/chat", json={"message": "Hello"}, headers=STREAM)
    assert answer.text.count(": ping\n\n") > 3
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("headers", [{}, STREAM])
async def test_an_impatient_caller_collects_the_answer_later(
    keepsake: Keepsake, model: ModelServer, headers: dict[str, str]
) -> None:
    """Past x-request-deadline-ms the turn goes on; sent again, it is answered, and the model was asked once."""
    model.script.append(
        Behaviour(text=LONG, delay=0.5)
    )  # more pieces than a stream holds for its reader
    body = {"message": "Hello", "session_id": "s", "turn_id": "t"}
    async with keepsake.client() as client:
        gone = await client.post(
            "/chat", json=body, headers=headers | {"x-request-deadline-ms": "100"}
        )
        assert (gone.status_code, gone.json()["error"]["code"]) == (409, "turn_in_progress")
        await _until(keepsake.transcript, lambda turns: len(turns) == 1)
        answer = await client.post("/chat", json=body)
    assert answer.json()["reply"] == LONG
    assert len(model.requests) == 1
    assert len(await keepsake.transcript()) == 1


@pytest.mark.parametrize("headers", [{}, STREAM])
async def test_who_is_impatient_names_the_turn(
    keepsake: Keepsake, model: ModelServer, headers: dict[str, str]
) -> None:
    """Without its id the answer could not be collected, and another send would be another turn."""
    async with keepsake.client() as client:
        headers = headers | {"x-request-deadline-ms": "100"}
        answer = await client.post(
            "/chat", json={"message": "Hello", "session_id": "s"}, headers=headers
        )
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "turn_id")
    assert model.requests == []


async def test_the_first_event_names_the_turn(keepsake: Keepsake) -> None:
    """Who hangs up without ids of their own can still ask for the rest."""
    async with keepsake.client() as client:
        answer = await client.post("/chat", json={"message": "Hello"}, headers=STREAM)
        started = json.loads(answer.text.split("data: ", 1)[1].split("\n", 1)[0])
        again = await client.post("/chat", json={"message": "Hello", "turn_id": started["turn_id"]})
    assert (again.json()["replayed"], again.json()["session_id"]) == (True, started["session_id"])


@pytest.mark.parametrize("deadlines", [Deadlines(first_token=2.5)])
async def test_a_tool_call_that_is_being_written_is_a_first_token(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A model that writes calls, and no text, is not given up as silent."""
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for n in range(6)
    ]
    model.script.append(Behaviour(text="", tool_calls=calls, piece_delay=0.5))
    answer = await keepsake.chat(
        "Hello", tools=[{"type": "function", "function": {"name": "f"}}], stream=True
    )
    assert "event: done" in answer.text


async def test_a_handler_that_is_cancelled_leaves_no_turn_behind(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Cancelled before the first event, a stream's turn is interrupted, and holds neither a place nor its lease."""
    model.script.append(Behaviour(text="word " * 60, delay=0.3, piece_delay=0.01))
    turn = {"message": "Hello", "session_id": "s", "turn_id": "t"}
    handling = asyncio.create_task(keepsake.chat("Hello", turn_id="t", stream=True))
    await model.wait_for_requests(1)
    handling.cancel()
    await asyncio.wait({handling})
    services = await keepsake.composition.services()
    async with asyncio.timeout(10):
        while services.chat._running:  # noqa: ASYNC110 - a turn's end is no event
            await asyncio.sleep(0.02)
    async with keepsake.client() as client:
        assert (await client.post("/chat", json=turn)).status_code == 200


async def test_tool_calls_pass_through_and_stay_paired(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The model asks for a tool, the caller sends its result as the next turn, and both are in history together."""
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
    asked = (await keepsake.chat("Where is order 7?", tools=[tool])).json()
    async with keepsake.client() as client:
        result = {"tool_call_id": "c1", "content": "shipped"}
        body = {"session_id": "s", "messages": [result], "tools": [tool], "turn_id": "r"}
        answers = [(await client.post("/chat", json=body)).json() for _ in range(2)]
    await keepsake.chat("Thanks")
    assert (asked["tool_calls"][0]["function"]["name"], asked["finish_reason"]) == (
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


async def test_a_result_that_nobody_asked_for_is_refused(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A tool's result without its call is the caller's mistake: 400, no model is asked, nothing is stored."""
    await keepsake.chat("Hello")
    async with keepsake.client() as client:
        body = {"session_id": "s", "messages": [{"tool_call_id": "c1", "content": "shipped"}]}
        answer = await client.post("/chat", json=body)
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "messages")
    assert (len(model.requests), len(await keepsake.transcript())) == (1, 1)


async def test_streamed_tool_calls_arrive_whole(keepsake: Keepsake, model: ModelServer) -> None:
    """A reply that is only a tool call has no deltas; the call is in `done`."""
    call = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": "{}"}}
    model.script.append(Behaviour(text="", tool_calls=(call,), finish_reason="tool_calls"))
    async with _served(keepsake) as client:
        events = await _read(client, message="Where is it?")
    assert [name for name, _ in events] == ["context", "delta", "done"]
    assert events[-1][1]["tool_calls"] == [call]


async def test_openai_python_reads_the_stream(keepsake: Keepsake) -> None:
    """The stream reader of the openai package understands our events."""
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
    keys = [key for event in events for key in event if key in known]  # type: ignore[attr-defined]  # events are mappings
    assert keys[-1] == "replaced"


@pytest.mark.skipif(shutil.which("node") is None, reason="Node stands in for a browser's fetch")
async def test_a_browsers_reader_reads_the_stream(keepsake: Keepsake, model: ModelServer) -> None:
    """fetch, a stream reader and a text decoder: what a page does, piece by piece as it comes."""
    model.script.append(Behaviour(text=LONG, piece_delay=0.02))
    script = """
      const r = await fetch(process.argv[1] + "/api/chat", {method: "POST", body: JSON.stringify({message: "Hello"}),
        headers: {"content-type": "application/json", "accept": "text/event-stream", "x-user-id": "ada"}});
      let reads = 0, text = "";
      for await (const part of r.body.pipeThrough(new TextDecoderStream())) { reads++; text += part; }
      console.log(JSON.stringify({reads, names: [...text.matchAll(/^event: (\\w+)$/gm)].map(m => m[1])}));
    """
    async with _served(keepsake) as client:
        command = ["node", "--input-type=module", "-e", script, str(client.base_url).rstrip("/")]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, check=True, timeout=20
        )
    said = json.loads(done.stdout)
    assert said["names"] == ["context", *["delta"] * 10, "done"]
    assert said["reads"] > 3


@asynccontextmanager
async def _served(keepsake: Keepsake) -> AsyncIterator[httpx.AsyncClient]:
    """The application on a real server: in-process transports hold a stream back until it ends."""
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


async def _until(read: Callable[[], Awaitable[Value]], suits: Callable[[Value], bool]) -> Value:
    async with asyncio.timeout(10):
        while not suits(value := await read()):  # noqa: ASYNC110 - the store tells no event
            await asyncio.sleep(0.02)
    return value
