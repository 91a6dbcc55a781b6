"""`python -m devtools.functions`: the app of the current folder, run by the library that runs it in Azure.

It stands in for the Functions host and takes no shortcut past the worker: every answer is the worker's own.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from yarl import URL

from devtools.queue_pump import Pump, QueueOptions
from devtools.worker_protocol import Function, Message, TypedData, Worker, WorkerError
from local.serving import address_of, listen, serving

FUNCTION_KEY = (
    "local-function-key"  # what x-functions-key or ?code= must say where a function asks for a key
)
INVOCATION_HEADER = "x-ms-invocation-id"
PER_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "content-length"}
)
OF_SERVER = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "date", "server"}
)
BY_NAME = {"timerTrigger", "queueTrigger"}  # what may be run without its trigger
FIRST_DELIVERY = {"DequeueCount": TypedData(json="1")}
TIMER_TICK = json.dumps(
    {"IsPastDue": False, "Schedule": {"AdjustForDST": True}, "ScheduleStatus": {}}
)


class Front:
    """What the host puts before the worker: routes, keys, and a relay that holds nothing back."""

    def __init__(self, worker: Worker, session: aiohttp.ClientSession, prefix: str) -> None:
        """Serve a worker's functions; `prefix` is routePrefix of host.json."""
        self._worker = worker
        self._session = session
        self._invocations: set[asyncio.Task[str | None]] = set()
        functions = worker.functions.values()
        http = [
            self._route(function, prefix)
            for function in functions
            if function.trigger["type"] == "httpTrigger"
        ]
        self.app = Starlette(
            routes=[
                Route("/admin/functions", self._list_functions),
                Route("/admin/functions/{name}", self._run_function, methods=["POST"]),
                *sorted(http, key=_precedence),
            ],
            exception_handlers={
                405: _not_found
            },  # the host does not tell a wrong method from a wrong path
        )

    def _route(self, function: Function, prefix: str) -> Route:
        template = function.trigger.get("route") or function.name
        if "?" in template:
            raise WorkerError(f"{function.name}: optional route parameters are not known here")
        path = f"{prefix and '/'}{prefix}/" + re.sub(r"{\*(\w+)}", r"{\1:path}", template)

        async def relay(request: Request) -> Response:
            if function.asks_for_key and not _has_key(request):
                return Response(status_code=401)
            return await self._relay(function, request)

        methods = [str(method) for method in function.trigger["methods"]]
        route = Route(path, relay, methods=methods)
        route.methods = set(
            methods
        )  # the host serves those that are named, and no HEAD because of a GET
        return route

    async def _relay(self, function: Function, request: Request) -> Response:
        exchange = asyncio.create_task(self._exchange(function, request, await request.body()))
        gone = asyncio.create_task(_until_gone(request))
        await asyncio.wait({exchange, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not exchange.done():
            exchange.cancel()
            return Response(status_code=499)
        gone.cancel()
        answer = exchange.result()
        response = StreamingResponse(_chunks(answer), answer.status)
        response.raw_headers = [
            pair
            for pair in answer.raw_headers
            if pair[0].decode("latin-1").lower() not in OF_SERVER
        ]
        return response

    async def _exchange(
        self, function: Function, request: Request, body: bytes
    ) -> aiohttp.ClientResponse:
        """Tell the worker of the invocation, and send it the request itself; it pairs the two by the id."""
        invocation_id = str(uuid4())
        invocation = asyncio.create_task(
            self._worker.invoke(function, _http_data(request), invocation_id)
        )
        self._invocations.add(
            invocation
        )  # it goes on when the client has left, as it does in Azure
        invocation.add_done_callback(self._invocations.discard)
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name not in {*PER_HOP, INVOCATION_HEADER}
        ]
        target = b"?".join(
            part for part in (request.scope["raw_path"], request.scope["query_string"]) if part
        )
        forward = asyncio.create_task(
            self._session.request(
                request.method,
                URL(self._worker.http_uri + target.decode(), encoded=True),
                headers=[*headers, (INVOCATION_HEADER, invocation_id)],
                data=body or None,
                allow_redirects=False,
            )
        )
        try:
            await asyncio.gather(asyncio.shield(invocation), forward)
        finally:
            forward.cancel()
        return forward.result()

    async def _list_functions(self, request: Request) -> Response:
        if not _has_key(request):
            return Response(status_code=401)
        functions = self._worker.functions.values()
        return JSONResponse(
            [{"name": each.name, "config": {"bindings": list(each.bindings)}} for each in functions]
        )

    async def _run_function(self, request: Request) -> Response:
        """Fire a timer, or hand a message to a queue's function; unlike the host's, the answer says how it went."""
        function = self._worker.functions.get(request.path_params["name"])
        if not _has_key(request):
            return Response(status_code=401)
        if function is None or function.trigger["type"] not in BY_NAME:
            return Response(status_code=404)
        given = json.loads(await request.body() or b"{}").get("input", "")
        data = (
            TypedData(json=TIMER_TICK)
            if function.trigger["type"] == "timerTrigger"
            else TypedData(string=given)
        )
        failure = await self._worker.invoke(function, data, str(uuid4()), FIRST_DELIVERY)
        return Response(failure, 500 if failure else 202)


def main() -> int:
    """Serve until a signal; 1 if the worker refuses the app."""
    parser = argparse.ArgumentParser(prog="python -m devtools.functions", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=7071, help="0 picks a free one (default: %(default)s)"
    )
    try:
        asyncio.run(_serve(Path.cwd(), parser.parse_args().port))
    except WorkerError as refused:
        print(f"functions: {refused}", file=sys.stderr)
        return 1
    return 0


async def _serve(folder: Path, port: int) -> None:
    stopped = asyncio.Event()
    worker = await Worker.start(folder)
    for name in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # after the worker's web server, which takes them too
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    with contextlib.closing(listen(port)) as front:
        async with open_front(worker, folder) as app, _pumping(worker, folder), serving(app, front):
            print(address_of(front), flush=True)
            await stopped.wait()


@contextlib.asynccontextmanager
async def open_front(worker: Worker, folder: Path) -> AsyncIterator[Starlette]:
    """The front of a worker, with the folder's host.json, as an ASGI application."""
    prefix = _host_file(folder).get("extensions", {}).get("http", {}).get("routePrefix", "api")
    untimed = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=untimed) as session:
        yield Front(worker, session, prefix).app


@contextlib.asynccontextmanager
async def _pumping(worker: Worker, folder: Path) -> AsyncIterator[None]:
    """Feed the functions of queues whose connection is set."""
    options = QueueOptions.read(_host_file(folder), os.environ)
    async with contextlib.AsyncExitStack() as running:
        for function in worker.functions.values():
            connection = os.environ.get(str(function.trigger.get("connection")), "")
            if function.trigger["type"] == "queueTrigger" and connection:
                await running.enter_async_context(
                    Pump(worker, function, options, connection).running()
                )
        yield


def _host_file(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "host.json").read_text())
    return content


def _precedence(route: Route) -> list[int]:
    """Literal segments win over parameters, and those over the rest of a path."""
    return [
        2 if ":path}" in part else 1 if part.startswith("{") else 0
        for part in route.path.split("/")
    ]


def _http_data(request: Request) -> TypedData:
    """The request as the invocation tells of it; its body comes with the request itself."""
    return TypedData(
        http=Message(
            method=request.method,
            url=str(request.url),
            headers=dict(request.headers),
            params=dict(request.path_params),
            query=dict(request.query_params),
            body=TypedData(),
        )
    )


def _has_key(request: Request) -> bool:
    return FUNCTION_KEY in {
        request.headers.get("x-functions-key"),
        request.query_params.get("code"),
    }


async def _not_found(_: Request, __: Exception) -> Response:
    return Response(status_code=404)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
            await asyncio.sleep(
                0
            )  # a caller that left is noticed even if the next chunk is always there already
    finally:
        answer.close()


if __name__ == "__main__":
    sys.exit(main())
