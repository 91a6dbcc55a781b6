"""Errors on the wire: one envelope, and one table from codes to statuses."""

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from shared.domain import errors
from shared.http.validation import NO_BODY, explain, target_of
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
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.ContentFiltered: 422,
    errors.StoreFull: 507,
    errors.CompletionLimitReached: 422,
    errors.ModelUnavailable: 503,
    errors.StoreUnavailable: 503,
    errors.Busy: 503,
}
HTTP_CODES = {
    400: "invalid_json",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}
HTTP_MESSAGES = {
    400: "The body could not be read; send it as UTF-8 JSON",
    404: "There is no such path; see /api/docs for those that exist",
    405: "This path does not support this method; the Allow header lists those it supports",
}
MAX_DETAILS = 20
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class ErrorDetail(BaseModel):
    """One thing that is wrong with the request."""

    code: str
    message: str
    target: str | None = None


class Error(ErrorDetail):
    """What went wrong; `code` is a contract, `message` says what to do."""

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
    """The documented errors of a user's operation; 400, 401 and 403 may happen to any."""
    always = (errors.InvalidRequest, errors.InvalidId, errors.PrincipalRequired, errors.Forbidden)
    return document_errors(*always, *known)


def document_errors(*known: type[errors.KeepsakeError]) -> dict[int | str, dict[str, Any]]:
    """These errors as OpenAPI responses, by status.

    Without their model: FastAPI would build a validator for each of a hundred, and every cold
    start would wait for it.
    """
    statuses: dict[int, list[str]] = {}
    for error in known:
        statuses.setdefault(STATUS[error], []).append(error.code)
    return {status: describe_answer(", ".join(codes)) for status, codes in sorted(statuses.items())}


def describe_answer(description: str) -> dict[str, Any]:
    """An error response for OpenAPI; `error_schemas` has what it refers to."""
    schema = {"$ref": f"#/components/schemas/{ErrorEnvelope.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def error_schemas() -> dict[str, Any]:
    """The schemas of an error response, by name."""
    envelope = ErrorEnvelope.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**envelope.pop("$defs"), ErrorEnvelope.__name__: envelope}


def render(status: int, error: Error, retry_after: float | None = None) -> JSONResponse:
    """Render an error with the headers that clients act on."""
    headers = {"x-ms-error-code": error.code}
    if status == 503 or retry_after is not None:  # noqa: PLR2004 - an HTTP status
        headers["Retry-After"] = str(max(1, math.ceil(retry_after or 1)))
    if status == 401:  # noqa: PLR2004 - an HTTP status
        headers["WWW-Authenticate"] = "Bearer"
    body = ErrorEnvelope(error=error).model_dump(exclude_none=True)
    return JSONResponse(body, status, headers)


def describe(failed: errors.KeepsakeError) -> Error:
    """Describe an error that the caller can act on."""
    return Error(
        code=failed.code,
        message=failed.message,
        target=failed.target,
        retry_after=failed.retry_after,
    )


def describe_unexpected(failed: Exception, request_id: str) -> Error:
    """Describe any other error, and log it under the request's id, without content."""
    log_failure("request_failed", failed, request_id=request_id)
    message = f"Keepsake failed to handle this request; report the request id {request_id}"
    return Error(code="internal_error", message=message)


async def _on_known(_: Request, failed: Exception) -> JSONResponse:
    assert isinstance(failed, errors.KeepsakeError)  # noqa: S101 - registered for this type only
    status = next(STATUS[kind] for kind in type(failed).__mro__ if kind in STATUS)
    return render(status, describe(failed), failed.retry_after)


async def _on_invalid(_: Request, failed: Exception) -> JSONResponse:
    assert isinstance(failed, RequestValidationError)  # noqa: S101 - registered for this type only
    details = [_detail(error) for error in failed.errors()[:MAX_DETAILS]]
    first = next((detail for detail in details if detail.code == "too_large"), details[0])
    status = 413 if first.code == "too_large" else 400
    error = Error(code=first.code, message=first.message, target=first.target, details=details)
    return render(status, error)


async def _on_http(request: Request, failed: Exception) -> JSONResponse:
    assert isinstance(failed, HTTPException)  # noqa: S101 - registered for this type only
    status = failed.status_code
    code = HTTP_CODES.get(status, "invalid_request")
    message = HTTP_MESSAGES.get(status, str(failed.detail))
    response = render(status, Error(code=code, message=message))
    response.headers.update(failed.headers or {})
    if status == 405:  # noqa: PLR2004 - an HTTP status
        response.headers["Allow"] = ", ".join(_methods_of(request))
    return response


async def _on_unexpected(request: Request, failed: Exception) -> JSONResponse:
    request_id: str = request.state.request_id
    response = render(500, describe_unexpected(failed, request_id))
    response.headers["x-ms-request-id"] = request_id  # no middleware adds it this far out
    return response


def _methods_of(request: Request) -> list[str]:
    """The methods of the path; the framework names only those of the first matching route."""
    scopes = [{**request.scope, "method": method} for method in METHODS]
    routes: list[BaseRoute] = request.app.routes
    return [
        scope["method"]
        for scope in scopes
        if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]


def _detail(error: Any) -> ErrorDetail:
    location, kind = error["loc"], str(error["type"])
    if kind == "missing" and len(location) == 1:
        return ErrorDetail(code="invalid_request", message=NO_BODY)
    if kind == "json_invalid":
        reason = error["ctx"]["error"]
        message = f"The body is not valid JSON: {reason}"
        return ErrorDetail(code="invalid_json", message=message)
    code = kind if kind in {"too_large", "invalid_id"} else "invalid_request"
    target = "message" if kind == "no_message" else target_of(location)
    message = explain(kind, str(error["msg"]), error.get("ctx") or {})
    return ErrorDetail(code=code, message=message, target=target)
