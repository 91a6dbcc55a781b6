"""The HTTP front end of the Functions host: routes, keys, and a streaming relay to the worker."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from uuid import uuid4

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from yarl import URL

from devtools.worker_protocol import Function, Message, TypedData, Worker, WorkerError

FUNCTION_KEY = "local-function-key"  # expected in x-functions-key or ?code=
INVOCATION_HEADER = "x-ms-invocation-id"
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "te"})
NOT_FORWARDED = HOP_BY_HOP | {"content-length", INVOCATION_HEADER}
NOT_RETURNED = HOP_BY_HOP | {"date", "server"}
RUNNABLE = {"timerTrigger", "queueTrigger"}  # functions that /admin can run without their trigger
FIRST_DELIVERY = {"DequeueCount": TypedData(json="1")}
TIMER_TICK = json.dumps(
    {"IsPastDue": False, "Schedule": {"AdjustForDST": True}, "ScheduleStatus": {}}
)


class Front:
    """The host's HTTP application in front of one worker."""

    def __init__(self, worker: Worker, session: aiohttp.ClientSession, prefix: str) -> None:
        """Route to the worker's functions; `prefix` is routePrefix of host.json."""
        self._worker = worker
        self._session = session
        self._invocations: set[asyncio.Task[str | None]] = set()
        http = [
            self._route(function, prefix)
            for function in worker.functions.values()
            if function.trigger["type"] == "httpTrigger"
        ]
        self.app = Starlette(
            routes=[
                Route("/admin/functions", self._list_functions),
                Route("/admin/functions/{name}", self._run_function, methods=["POST"]),
                *sorted(http, key=_precedence),
            ],
            # The host does not distinguish a wrong method from a wrong path.
            exception_handlers={405: _not_found},
        )

    def _route(self, function: Function, prefix: str) -> Route:
        template = function.trigger.get("route") or function.name
        if "?" in template:
            raise WorkerError(f"{function.name}: optional route parameters are not supported")
        path = f"{prefix and '/'}{prefix}/" + re.sub(r"{\*(\w+)}", r"{\1:path}", template)

        async def relay(request: Request) -> Response:
            if function.requires_key and not _has_key(request):
                return Response(status_code=401)
            return await self._relay(function, request)

        methods = [str(method) for method in function.trigger["methods"]]
        route = Route(path, relay, methods=methods)
        route.methods = set(methods)  # like the host, do not add HEAD to GET
        return route

    async def _relay(self, function: Function, request: Request) -> Response:
        exchange = asyncio.create_task(self._exchange(function, request, await request.body()))
        disconnected = asyncio.create_task(_until_disconnected(request))
        await asyncio.wait({exchange, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not exchange.done():
            exchange.cancel()
            return Response(status_code=499)
        disconnected.cancel()
        answer = exchange.result()
        response = StreamingResponse(_chunks(answer), answer.status)
        response.raw_headers = [
            (name, value)
            for name, value in answer.raw_headers
            if name.decode("latin-1").lower() not in NOT_RETURNED
        ]
        return response

    async def _exchange(
        self, function: Function, request: Request, body: bytes
    ) -> aiohttp.ClientResponse:
        """Announce the invocation and forward the request, which the worker matches by its id."""
        invocation_id = str(uuid4())
        invocation = asyncio.create_task(
            self._worker.invoke(function, _http_data(request), invocation_id)
        )
        self._invocations.add(invocation)  # as in Azure, it outlives a client that disconnects
        invocation.add_done_callback(self._invocations.discard)
        forward = asyncio.create_task(self._forward(request, body, invocation_id))
        try:
            await asyncio.gather(asyncio.shield(invocation), forward)
        finally:
            forward.cancel()
        return forward.result()

    async def _forward(
        self, request: Request, body: bytes, invocation_id: str
    ) -> aiohttp.ClientResponse:
        headers = [
            (name, value) for name, value in request.headers.items() if name not in NOT_FORWARDED
        ]
        parts = (request.scope["raw_path"], request.scope["query_string"])
        target = b"?".join(part for part in parts if part).decode()
        return await self._session.request(
            request.method,
            URL(self._worker.http_uri + target, encoded=True),
            headers=[*headers, (INVOCATION_HEADER, invocation_id)],
            data=body or None,
            allow_redirects=False,
        )

    async def _list_functions(self, request: Request) -> Response:
        if not _has_key(request):
            return Response(status_code=401)
        functions = self._worker.functions.values()
        return JSONResponse(
            [{"name": each.name, "config": {"bindings": list(each.bindings)}} for each in functions]
        )

    async def _run_function(self, request: Request) -> Response:
        """Run a timer's or a queue's function; unlike the host, wait for it and report failure."""
        function = self._worker.functions.get(request.path_params["name"])
        if not _has_key(request):
            return Response(status_code=401)
        if function is None or function.trigger["type"] not in RUNNABLE:
            return Response(status_code=404)
        given = json.loads(await request.body() or b"{}").get("input", "")
        data = (
            TypedData(json=TIMER_TICK)
            if function.trigger["type"] == "timerTrigger"
            else TypedData(string=given)
        )
        failure = await self._worker.invoke(function, data, str(uuid4()), FIRST_DELIVERY)
        return Response(failure, 500 if failure else 202)


def _precedence(route: Route) -> list[int]:
    """Sort literal segments before parameters, and those before catch-all parameters."""
    return [
        2 if ":path}" in part else 1 if part.startswith("{") else 0
        for part in route.path.split("/")
    ]


def _http_data(request: Request) -> TypedData:
    """Describe the request for the invocation; its body is sent with the request itself."""
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


async def _until_disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
            await asyncio.sleep(0)  # notice a disconnect even if the next chunk is always ready
    finally:
        answer.close()
