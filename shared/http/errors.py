"""Errors on the wire: one envelope, one table from codes to statuses, nothing of what was sent is echoed."""

import math
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from shared.domain import errors
from shared.telemetry import log_failure

STATUS: dict[type[errors.KeepsakeError], int] = {
    errors.InvalidRequest: 400,
    errors.InvalidId: 400,
    errors.InvalidJson: 400,
    errors.PrincipalRequired: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.TurnConflict: 409,
    errors.TurnInProgress: 409,
    errors.SessionErased: 409,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.ContentFiltered: 422,
    errors.ModelUnavailable: 503,
    errors.StoreUnavailable: 503,
    errors.Busy: 503,
}
HOST_CODES = {
    400: "invalid_json",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
}
WHAT_NEXT = {
    404: "There is no such path; /api/docs shows those there are",
    405: "This path does not take that method; the header Allow says which it takes",
}
MAX_DETAILS = 20
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class ErrorDetail(BaseModel):
    """One thing that is wrong with the request."""

    code: str
    message: str
    target: str | None = None


class Error(ErrorDetail):
    """What went wrong; `code` is a contract, `message` says what to do next."""

    details: list[ErrorDetail] | None = None
    retry_after: float | None = None


class ErrorEnvelope(BaseModel):
    """The one form of every error."""

    error: Error


def install_error_handlers(api: FastAPI) -> None:
    """Make every error of this application leave in the envelope."""
    api.add_exception_handler(errors.KeepsakeError, _on_known)
    api.add_exception_handler(RequestValidationError, _on_invalid)
    api.add_exception_handler(HTTPException, _on_http)
    api.add_exception_handler(Exception, _on_unexpected)


def error_responses(*known: type[errors.KeepsakeError]) -> dict[int | str, dict[str, Any]]:
    """The documented error answers of a user's operation, by status; 400, 401 and 403 may happen to any."""
    return document_errors(
        errors.InvalidRequest, errors.InvalidId, errors.PrincipalRequired, errors.Forbidden, *known
    )


def document_errors(*known: type[errors.KeepsakeError]) -> dict[int | str, dict[str, Any]]:
    """These errors as OpenAPI's answers, by status.

    Without their model: FastAPI would build a validator for each of a hundred, which a cold start waits for.
    """
    statuses: dict[int, list[str]] = {}
    for error in known:
        statuses.setdefault(STATUS[error], []).append(error.code)
    return {status: describe_answer(", ".join(codes)) for status, codes in sorted(statuses.items())}


def describe_answer(description: str) -> dict[str, Any]:
    """An error answer as OpenAPI has it; `error_schemas` has what it refers to."""
    schema = {"$ref": f"#/components/schemas/{ErrorEnvelope.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def error_schemas() -> dict[str, Any]:
    """The schemas of an error answer, by name."""
    envelope = ErrorEnvelope.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**envelope.pop("$defs"), ErrorEnvelope.__name__: envelope}


def render(status: int, error: Error, retry_after: float | None = None) -> JSONResponse:
    """An error as an answer, with the headers clients steer by."""
    headers = {"x-ms-error-code": error.code}
    if status == 503 or retry_after is not None:  # noqa: PLR2004
        headers["Retry-After"] = str(max(1, math.ceil(retry_after or 1)))
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = "Bearer"
    body = ErrorEnvelope(error=error).model_dump(exclude_none=True)
    return JSONResponse(body, status, headers)


def describe(failed: errors.KeepsakeError) -> Error:
    """What the envelope says of an error a caller can act on."""
    return Error(
        code=failed.code,
        message=failed.message,
        target=failed.target,
        retry_after=failed.retry_after,
    )


def describe_unexpected(failed: Exception, request_id: str) -> Error:
    """What the envelope says of any other, which is logged under the request's name, without content."""
    log_failure("request_failed", failed, request_id=request_id)
    return Error(code="internal_error", message=f"Something broke on our side; report {request_id}")


async def _on_known(_: Request, failed: Exception) -> JSONResponse:
    assert isinstance(failed, errors.KeepsakeError)  # noqa: S101 - registered for this type only
    status = next(STATUS[kind] for kind in type(failed).__mro__ if kind in STATUS)
    return render(status, describe(failed), failed.retry_after)


async def _on_invalid(_: Request, failed: Exception) -> JSONResponse:
    assert isinstance(failed, RequestValidationError)  # noqa: S101 - registered for this type only
    details = [_detail(error) for error in failed.errors()[:MAX_DETAILS]]
    first = next((detail for detail in details if detail.code == "too_large"), details[0])
    status = 413 if first.code == "too_large" else 400
    return render(
        status, Error(code=first.code, message=first.message, target=first.target, details=details)
    )


async def _on_http(request: Request, failed: Exception) -> JSONResponse:
    assert isinstance(failed, HTTPException)  # noqa: S101 - registered for this type only
    status = failed.status_code
    code = HOST_CODES.get(status, "invalid_request")
    response = render(status, Error(code=code, message=WHAT_NEXT.get(status, str(failed.detail))))
    response.headers.update(failed.headers or {})
    if status == 405:  # noqa: PLR2004
        response.headers["Allow"] = ", ".join(_methods_of(request))
    return response


def _methods_of(request: Request) -> list[str]:
    """What the path answers to; the framework names the methods of the first of its routes only."""
    asked = [{**request.scope, "method": method} for method in METHODS]
    routes: list[BaseRoute] = request.app.routes
    return [
        scope["method"]
        for scope in asked
        if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]


async def _on_unexpected(request: Request, failed: Exception) -> JSONResponse:
    request_id: str = request.state.request_id
    response = render(500, describe_unexpected(failed, request_id))
    response.headers["x-ms-request-id"] = (
        request_id  # this handler stands outside of what names the others
    )
    return response


def _detail(error: Any) -> ErrorDetail:
    location: Sequence[Any] = error["loc"]
    of_header = location[0] == "header"  # whose names are ours; a field's may be whatever was sent
    named = (
        str(part)
        for part in location[1:]
        if of_header or isinstance(part, int) or str(part).isidentifier()
    )
    target = ".".join(named)[:200]
    kind = str(error["type"])
    code = kind if kind in {"too_large", "invalid_id"} else "invalid_request"
    if kind == "missing" and len(location) == 1:
        return ErrorDetail(code=code, message="Send a JSON object as the body")
    if kind == "json_invalid":
        return ErrorDetail(
            code="invalid_json", message=f"The body is not valid JSON: {error['ctx']['error']}"
        )
    return ErrorDetail(code=code, message=str(error["msg"]), target=target or None)
