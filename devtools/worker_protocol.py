"""The Functions host's side of the protocol with its Python worker, without gRPC.

Messages are plain attribute bags. The worker library receives this module in place of the generated
protobuf classes, and builds its responses from the classes below.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import urlsplit

import azure_functions_runtime

from local.serving import LOOPBACK

START_SECONDS = 20.0


class Message(SimpleNamespace):
    """A message with any fields."""


class TypedData(Message):
    """A value in one of the protocol's forms (http, json, string, bytes): its only field."""

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 - protobuf's name
        """Return the form that is set."""
        return next(iter(vars(self)), None)


class ParameterBinding(Message):
    """The value of a function's parameter: `name` and `data`."""

    def WhichOneof(self, _: str) -> str:  # noqa: N802 - protobuf's name
        """Return the form that is set; there is no shared memory."""
        return "data"


class StatusResult(Message):
    """The outcome of a request to the worker."""

    Failure, Success, Cancelled = 0, 1, 2


class BindingInfo(Message):
    """The binding of a parameter."""

    in_, out, inout = 0, 1, 2
    undefined, string, binary, stream = 0, 1, 2, 3


WorkerInitResponse = WorkerMetadata = FunctionMetadataResponse = FunctionLoadResponse = Message
InvocationResponse = RpcFunctionMetadata = RpcRetryOptions = RpcException = Message


class WorkerError(RuntimeError):
    """The worker cannot run the app; the message is the worker's."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function as the worker indexed it."""

    name: str
    function_id: str
    bindings: tuple[Mapping[str, Any], ...]

    @property
    def trigger(self) -> Mapping[str, Any]:
        """The binding that starts it."""
        return next(binding for binding in self.bindings if binding["type"].endswith("Trigger"))

    @property
    def requires_key(self) -> bool:
        """Whether the host asks callers for a key."""
        return str(self.trigger.get("authLevel", "FUNCTION")).upper() != "ANONYMOUS"


@dataclass(frozen=True, slots=True)
class Worker:
    """The worker library in this process, which can load one app and never unloads it.

    `functions` are those of the app by name; `http_uri` is the worker's own web server.
    """

    functions: Mapping[str, Function]
    http_uri: str

    @classmethod
    async def start(cls, folder: Path) -> Self:
        """Import and index the app in a folder, and wait for the worker's own web server.

        Raises:
            WorkerError: the app cannot be indexed.
        """
        sys.path.insert(0, str(folder))
        azure_functions_runtime.start_threadpool_executor()
        init = await _send(
            "worker_init_request", capabilities={}, function_app_directory=str(folder)
        )
        if init.result.status != StatusResult.Success:
            raise WorkerError(init.result.exception.message)
        indexed = await _send("functions_metadata_request")
        for found in indexed.function_metadata_results:
            await _send("function_load_request", function_id=found.function_id)
        functions = map(_read_function, indexed.function_metadata_results)
        worker = cls({each.name: each for each in functions}, init.capabilities["HttpUri"])
        await _wait_for_port(worker.http_uri)
        return worker

    async def invoke(
        self,
        function: Function,
        data: TypedData,
        invocation_id: str,
        metadata: Mapping[str, TypedData] | None = None,
    ) -> str | None:
        """Run a function on its trigger's data and metadata; return None, or the error message."""
        response = await _send(
            "invocation_request",
            invocation_id=invocation_id,
            function_id=function.function_id,
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
            input_data=[ParameterBinding(name=function.trigger["name"], data=data)],
            trigger_metadata=dict(metadata or {}),
        )
        if response.result.status == StatusResult.Success:
            return None
        return str(response.result.exception.message)


async def _send(kind: str, **fields: Any) -> Any:
    """Send the worker one message and return its response."""
    properties = {"host": LOOPBACK, "protos": sys.modules[__name__]}
    respond = getattr(azure_functions_runtime, kind)
    return await respond(
        Message(properties=properties, request=Message(**{kind: Message(**fields)}))
    )


def _read_function(found: Any) -> Function:
    return Function(found.name, found.function_id, tuple(map(json.loads, found.raw_bindings)))


async def _wait_for_port(http_uri: str) -> None:
    port = urlsplit(http_uri).port
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
