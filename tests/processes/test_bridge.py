"""The bridge between worker and ASGI app: streams arrive in parts, failures as failures."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from azurefunctions.extensions.http.fastapi import Request, StreamingResponse

from shared.http.bridge import MAX_BUFFERED_PARTS, dispatch
from tests.support.processes import wait_until

pytestmark = pytest.mark.xdist_group("worker")
A_SECOND = 1.0
Message = MutableMapping[str, Any]


def test_a_stream_arrives_before_it_ends(streams: httpx.Client) -> None:
    """The first part arrives before the application has made the second."""
    with streams.stream("GET", "/paused/a") as answer:
        parts = answer.iter_raw()
        first = next(parts)
        streams.get("/release/a")
        assert (first, b"".join(parts)) == (b"first ", b"second")


def test_a_disconnect_cancels_the_application(streams: httpx.Client) -> None:
    """Within a second after a client has disconnected, the application is cancelled."""
    with streams.stream("GET", "/endless/b") as answer:
        next(answer.iter_raw())
    wait_until(lambda: "b" in streams.get("/state/-").json()["cancelled"], A_SECOND)


def test_a_disconnect_between_parts_cancels_the_application(streams: httpx.Client) -> None:
    """The application is also cancelled between two parts."""
    with streams.stream("GET", "/paused/c") as answer:
        next(answer.iter_raw())
    wait_until(lambda: "c" in streams.get("/state/-").json()["cancelled"], A_SECOND)


def test_an_early_disconnect_cancels_the_stream(streams: httpx.Client) -> None:
    """A stream that starts after its client has disconnected is cancelled."""
    with suppress(httpx.ReadTimeout):
        streams.get("/late/d", timeout=0.2)
    streams.get("/release/d")
    wait_until(lambda: "d" in streams.get("/state/-").json()["cancelled"], A_SECOND)


@pytest.mark.parametrize("kind", ["broken_first", "broken_headed", "silent"])
def test_a_failure_before_the_first_byte_is_an_error(streams: httpx.Client, kind: str) -> None:
    """An application that fails or ends before the first byte of its body is a 500."""
    assert streams.get(f"/{kind}/e").status_code == 500


@pytest.mark.parametrize("kind", ["broken_midway", "unfinished"])
def test_a_failure_after_the_first_byte_breaks_the_stream(streams: httpx.Client, kind: str) -> None:
    """A client can tell an interrupted response from a complete one."""
    with pytest.raises(httpx.RemoteProtocolError):
        streams.get(f"/{kind}/f")


def test_streams_run_concurrently(streams: httpx.Client) -> None:
    """Ten streams are served concurrently."""
    with ThreadPoolExecutor(10) as callers:
        answers = [
            callers.submit(streams.get, f"/paused/concurrent{number}") for number in range(10)
        ]
        wait_until(
            lambda: (
                {f"concurrent{number}" for number in range(10)}
                <= set(streams.get("/state/-").json()["started"])
            )
        )
        released = [streams.get(f"/release/concurrent{number}").status_code for number in range(10)]
        assert {answer.result().text for answer in answers} == {"first second"}
        assert released == [200] * 10


def test_a_literal_route_takes_precedence(streams: httpx.Client) -> None:
    """A catch-all route does not shadow literal routes."""
    assert streams.get("/state/literal").text == "literal"


@pytest.mark.anyio
async def test_a_slow_reader_slows_the_application() -> None:
    """The application is ahead of a slow reader by a bounded number of parts."""
    sent = 0

    async def endless(
        scope: Message,  # noqa: ARG001 - named by the protocol
        receive: object,  # noqa: ARG001 - named by the protocol
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            sent += 1

    async def receive() -> Message:
        raise AssertionError

    request = Request({"type": "http", "method": "GET", "path": "/", "headers": []}, receive)
    answer = await dispatch(endless, request, "id")
    assert isinstance(answer, StreamingResponse)
    parts = aiter(answer.body_iterator)
    await anext(parts)
    await _let_others_run()
    assert sent == MAX_BUFFERED_PARTS + 1  # one was read, and one is being sent
    await parts.aclose()  # type: ignore[attr-defined]  # it is the bridge's own generator


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_invocation_lasts_until_its_application_ends(streamed: bool) -> None:  # noqa: FBT001
    """Work after the last byte, like the request's log line, is part of the invocation."""
    ended = False

    async def application(
        scope: Message,  # noqa: ARG001 - named by the protocol
        receive: object,  # noqa: ARG001 - named by the protocol
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        nonlocal ended
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if streamed:
            await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        await send({"type": "http.response.body", "body": b"last", "more_body": False})
        await _let_others_run()
        ended = True

    async def receive() -> Message:
        raise AssertionError

    answer = await dispatch(
        application, Request({"type": "http", "method": "GET", "headers": []}, receive), "id"
    )
    if isinstance(answer, StreamingResponse):
        assert [part async for part in answer.body_iterator] == [b"first ", b"last"]
    assert ended


async def _let_others_run() -> None:
    for _ in range(1000):
        await asyncio.sleep(0)
