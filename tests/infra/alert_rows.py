"""Rows of log tables: the product's from its own logger, the platform's in their real shape."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Send

from tests.infra.product import AccessLog, log_event
from tests.support.telemetry import capturing

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]  # by table; a table that is missing here does not exist


def line(event: str, **fields: str | float) -> Row:
    """A row of AppTraces, as the product's own logger writes the line."""
    with capturing() as captured:
        log_event(event, **fields)
    [record] = [each for each in captured.exported if str(each.body).startswith(f"{event} ")]
    return {"Message": str(record.body)}


def request_lines(*statuses: int) -> list[Row]:
    """Rows of AppTraces for requests answered with these statuses; sampling traces none of them."""
    with capturing() as captured:
        for number, status in enumerate(statuses):
            asyncio.run(serve(status, f"{number + 1:032x}"))
    found = [each for each in captured.exported if str(each.body).startswith("request ")]
    return [{"Message": str(each.body), "OperationId": f"{each.trace_id:032x}"} for each in found]


async def serve(status: int, trace: str) -> None:
    """Let the product answer a request."""
    headers = [(b"traceparent", f"00-{trace}-00f067aa0ba902b7-00".encode())]  # 00: not sampled
    scope = {"type": "http", "method": "GET", "headers": headers, "state": {}}
    await AccessLog(answering(status), nothing, lambda *_: None)(scope, nothing, nothing)


def host_rows(*statuses: int) -> list[Row]:
    """Rows of AppRequests, as the host writes them."""
    return [
        {"ResultCode": str(status), "OperationId": f"{number + 1:032x}"}
        for number, status in enumerate(statuses)
    ]


def put(queue: str, **columns: Any) -> Row:
    """A row of StorageQueueLogs: a message was put on a queue."""
    uri = f"https://stmemory.queue.core.windows.net:443/{queue}/messages?messagettl=604800"
    return {"OperationName": "PutMessage", "Uri": uri, "StatusCode": "201", **columns}


def answering(status: int) -> ASGIApp:
    """An application that answers everything with this status."""

    async def answer(_scope: object, _receive: object, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})

    return answer


async def nothing(*_: object) -> Any:
    """Wait for no exporter, receive and send nothing."""
    return {}
