"""The bridge between the worker and an ASGI application: streams arrive as they are made, and failures as failures."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from azurefunctions.extensions.http.fastapi import Request, StreamingResponse

from shared.http.bridge import PARTS_AHEAD, dispatch
from tests.support.processes import wait_until

pytestmark = pytest.mark.xdist_group("worker")
A_SECOND = 1.0
Message = MutableMapping[str, Any]


def test_a_stream_arrives_before_it_ends(streams: httpx.Client) -> None:
    """The first part is with the caller while the application has not made the second."""
    with streams.stream("GET", "/paused/a") as answer:
        parts = answer.iter_raw()
        first = next(parts)
        streams.get("/release/a")
        assert (first, b"".join(parts)) == (b"first ", b"second")


def test_a_client_that_leaves_cancels_the_application(streams: httpx.Client) -> None:
    """Within a second after a caller has left a stream, the application is told to stop."""
    with streams.stream("GET", "/endless/b") as answer:
        next(answer.iter_raw())
    wait_until(lambda: "b" in streams.get("/state/-").json()["cancelled"], A_SECOND)


def test_a_client_that_leaves_a_pause_cancels_the_application(streams: httpx.Client) -> None:
    """That holds while the application is between two parts, too."""
    with streams.stream("GET", "/paused/c") as answer:
        next(answer.iter_raw())
    wait_until(lambda: "c" in streams.get("/state/-").json()["cancelled"], A_SECOND)


def test_a_client_that_leaves_early_cancels_the_stream(streams: httpx.Client) -> None:
    """A stream that begins when its caller has left is stopped as well, not left waiting for a reader for ever."""
    with suppress(httpx.ReadTimeout):
        streams.get("/late/d", timeout=0.2)
    streams.get("/release/d")
    wait_until(lambda: "d" in streams.get("/state/-").json()["cancelled"], A_SECOND)


@pytest.mark.parametrize("kind", ["broken_first", "broken_headed", "silent"])
def test_a_failure_before_the_first_byte_is_an_error(streams: httpx.Client, kind: str) -> None:
    """An application that fails, or ends, before it has sent a byte of its body is a 500 and never an empty 200."""
    assert streams.get(f"/{kind}/e").status_code == 500


@pytest.mark.parametrize("kind", ["broken_midway", "unfinished"])
def test_a_failure_after_the_first_byte_breaks_the_stream(streams: httpx.Client, kind: str) -> None:
    """A caller can tell an answer that broke off from one that ended."""
    with pytest.raises(httpx.RemoteProtocolError):
        streams.get(f"/{kind}/f")


def test_streams_run_side_by_side(streams: httpx.Client) -> None:
    """Ten callers are served at once."""
    with ThreadPoolExecutor(10) as callers:
        answers = [callers.submit(streams.get, f"/paused/side{number}") for number in range(10)]
        wait_until(
            lambda: (
                {f"side{number}" for number in range(10)}
                <= set(streams.get("/state/-").json()["begun"])
            )
        )
        released = [streams.get(f"/release/side{number}").status_code for number in range(10)]
        assert {answer.result().text for answer in answers} == {"first second"}
        assert released == [200] * 10


def test_a_literal_route_wins(streams: httpx.Client) -> None:
    """A catch-all route leaves to others what is theirs."""
    assert streams.get("/state/literal").text == "literal"


@pytest.mark.anyio
async def test_a_slow_reader_slows_the_application() -> None:
    """The application is ahead of its reader by a bounded number of parts, however slow the reader is."""
    sent = 0

    async def endless(
        scope: Message,  # noqa: ARG001 - the protocol names it
        receive: object,  # noqa: ARG001 - the protocol names it
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
    assert sent == PARTS_AHEAD + 1  # one was read, and one is being sent
    await parts.aclose()  # type: ignore[attr-defined]  # it is the bridge's own generator


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_invocation_lasts_until_its_application_has_ended(streamed: bool) -> None:  # noqa: FBT001
    """What is done after the last byte, as the request's log line, is done before the platform is told of the end."""
    ended = False

    async def application(
        scope: Message,  # noqa: ARG001 - the protocol names it
        receive: object,  # noqa: ARG001 - the protocol names it
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
