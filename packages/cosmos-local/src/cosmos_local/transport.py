"""azure-core transports that answer in the process, without a socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
from azure.core.exceptions import (
    ServiceRequestError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import (
    AsyncHttpResponse,
    AsyncHttpTransport,
    HttpRequest,
    HttpResponse,
    HttpTransport,
)
from multidict import CIMultiDict

from cosmos_local.front import Broken, Front, Silent, finish
from cosmos_local.wire import WireRequest, WireResponse

DEFAULT_READ_TIMEOUT = 65.0  # the SDK always sends its own


class InProcessTransport(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """Answers `azure.cosmos.aio` clients; it fails as aiohttp's transport would."""

    def __init__(self, front: Front) -> None:
        """Answer from this front."""
        self._front = front

    async def send(self, request: HttpRequest, **kwargs: Any) -> AsyncHttpResponse:
        """Answer one request."""
        wire = _wire(request)
        fault = self._front.take(wire)
        patience = float(kwargs.get("read_timeout") or DEFAULT_READ_TIMEOUT)
        if fault is not None and fault.delay:
            await asyncio.sleep(min(fault.delay, patience))
        elif fault is None:
            await asyncio.sleep(0)  # a network call lets other tasks run; so does this one
        outcome = await finish(self._front, wire, fault)
        if isinstance(outcome, Silent):
            await asyncio.sleep(patience)
        if isinstance(outcome, Silent) or (fault is not None and fault.delay > patience):
            raise _as_service_response(aiohttp.SocketTimeoutError("the read timeout has expired"))
        if isinstance(outcome, Broken):
            raise _as_service_request(aiohttp.ServerDisconnectedError())
        return _AsyncAnswer(request, outcome)

    async def open(self) -> None:
        """Do nothing: there is no connection to open."""

    async def close(self) -> None:
        """Do nothing: there is no connection to close."""

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Leave the database open: it belongs to LocalCosmos."""


class SyncInProcessTransport(HttpTransport[HttpRequest, HttpResponse]):
    """Answers clients of the synchronous SDK, from any thread."""

    def __init__(self, front: Front) -> None:
        """Answer from this front."""
        self._front = front

    def send(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Answer one request."""
        wire = _wire(request)
        fault = self._front.take(wire)
        patience = float(kwargs.get("read_timeout") or DEFAULT_READ_TIMEOUT)
        if fault is not None and fault.delay:
            time.sleep(min(fault.delay, patience))
        outcome = self._front.finish(wire, fault)
        if isinstance(outcome, Silent):
            time.sleep(patience)
        if isinstance(outcome, Silent) or (fault is not None and fault.delay > patience):
            raise _as_service_response(TimeoutError("the read timeout has expired"))
        if isinstance(outcome, Broken):
            broken = ConnectionResetError("the connection is broken")
            raise ServiceResponseError(str(broken), error=broken)
        return _SyncAnswer(request, outcome)

    def open(self) -> None:
        """Do nothing: there is no connection to open."""

    def close(self) -> None:
        """Do nothing: there is no connection to close."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Leave the database open: it belongs to LocalCosmos."""


class _AsyncAnswer(AsyncHttpResponse):
    def __init__(self, request: HttpRequest, answer: WireResponse) -> None:
        super().__init__(request, None)
        _fill(self, answer)
        self._content = answer.body

    def body(self) -> bytes:
        return self._content

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        return None


class _SyncAnswer(HttpResponse):
    def __init__(self, request: HttpRequest, answer: WireResponse) -> None:
        super().__init__(request, None)
        _fill(self, answer)
        self._content = answer.body

    def body(self) -> bytes:
        return self._content


def _fill(response: AsyncHttpResponse | HttpResponse, answer: WireResponse) -> None:
    response.status_code = answer.status
    response.headers = cast("MutableMapping[str, str]", CIMultiDict(answer.headers))
    response.reason = ""
    response.content_type = "application/json"


def _wire(request: HttpRequest) -> WireRequest:
    url = urlsplit(request.url)
    data: object = request.data
    body = data.encode() if isinstance(data, str) else data if isinstance(data, bytes) else b""
    headers = {name.lower(): str(value) for name, value in request.headers.items()}
    return WireRequest(request.method, url.path, headers, body, f"{url.scheme}://{url.netloc}")


def _as_service_response(error: Exception) -> ServiceResponseTimeoutError:
    """Build what azure-core makes of a read timeout.

    aiohttp's own error counts as a broken connection, so the asynchronous SDK sends the request
    again, writes too.
    """
    return ServiceResponseTimeoutError(str(error), error=error)


def _as_service_request(error: Exception) -> ServiceRequestError:
    """Build what azure-core makes of aiohttp's broken connection: it is sent again."""
    return ServiceRequestError(str(error), error=error)
