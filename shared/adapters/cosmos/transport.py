"""The HTTP transport to Cosmos DB, with calls and request units counted."""

from dataclasses import dataclass
from typing import Any, Self

from azure.core.pipeline.transport import AsyncHttpTransport

from shared.adapters.cosmos.errors import TOO_MANY_REQUESTS, busy, is_failure, throttle_hint
from shared.adapters.cosmos.operations import SYSTEM, operation_of
from shared.domain.spending import Spending
from shared.telemetry.meter import current_meter
from shared.telemetry.metrics import count_charge
from shared.telemetry.spans import mark_status, store_call

MAX_WAIT = 1.0  # seconds; a longer throttle hint is passed on to the caller


@dataclass(frozen=True, slots=True)
class CountingTransport(AsyncHttpTransport[Any, Any]):
    """Passes requests to the inner transport and counts them on the request's meter."""

    inner: AsyncHttpTransport[Any, Any]
    server: str

    async def send(self, request: Any, **kwargs: Any) -> Any:
        """Send one request.

        Raises:
            Busy: the server demands a longer wait than MAX_WAIT, which the SDK would sleep through.
        """
        meter = current_meter()
        meter.cosmos_calls += 1
        operation, collection = operation_of(request.method, request.url, request.headers)
        with store_call(SYSTEM, operation, self.server, collection=collection) as span:
            response = await self.inner.send(request, **kwargs)
            mark_status(span, response.status_code, failed=is_failure(response.status_code))
        charge = float(response.headers.get("x-ms-request-charge", 0))
        meter.spend(Spending(request_units=charge))
        count_charge(charge, response.status_code)
        throttled = response.status_code == TOO_MANY_REQUESTS
        if throttled and throttle_hint(response.headers) > MAX_WAIT:
            raise busy(response.headers)
        return response

    async def open(self) -> None:
        """Open the inner transport."""
        await self.inner.open()

    async def close(self) -> None:
        """Close the inner transport."""
        await self.inner.close()

    async def __aenter__(self) -> Self:
        """Open the inner transport."""
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        """Close the inner transport."""
        await self.inner.__aexit__(*details)  # type: ignore[arg-type]  # the SDK's is untyped
