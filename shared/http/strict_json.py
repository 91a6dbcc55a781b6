"""Strict JSON: no duplicate keys, NaN, inexact numbers or lone surrogates."""

import json
import math
from codecs import BOM_UTF8
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from shared.domain.errors import InvalidRequest
from shared.http.media_types import is_json

MAX_DEPTH = 32  # levels; the parsers of the stores behind us differ beyond this
PLATFORM_PARAMETERS = {"code"}  # a function key, which the platform has checked
NOT_STORED = frozenset({"tools"})  # fields of a body whose numbers only the provider reads
MAX_DIGITS = 400  # of an integer: more than a double has
MAX_EXACT_INTEGER = 2**53  # Cosmos DB stores numbers as doubles


def parse(raw: bytes) -> Any:
    """Parse JSON and reject what stores or other parsers would change.

    Raises:
        json.JSONDecodeError: for every rejection, with a reason that does not quote the input.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        _reject("it is not UTF-8")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=lambda _: _reject("NaN and Infinity are not JSON"),
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        _reject(f"it is nested deeper than {MAX_DEPTH} levels")
    _check(value, MAX_DEPTH)
    stored = value.items() if isinstance(value, dict) else [("", value)]
    for name, part in stored:
        if name not in NOT_STORED:
            _check_exact(part)
    return value


class StrictRoute(APIRoute):
    """A route whose bodies are parsed strictly, and which knows its query parameters."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler so that it reads the request strictly."""
        inner = super().get_route_handler()
        fields = get_flat_params(self.dependant)
        known = {field.alias for field in fields if isinstance(field.field_info, Query)}

        async def handle(request: Request) -> Response:
            _check_query(request, known | PLATFORM_PARAMETERS)
            if self.body_field is not None:
                _check_headers(request)
            return await inner(_StrictRequest(request.scope, request.receive))

        return handle


class _StrictRequest(Request):
    async def json(self) -> Any:
        return parse((await self.body()).removeprefix(BOM_UTF8))


def _check_query(request: Request, known: set[str]) -> None:
    for name in request.query_params:
        if name not in known:
            target = name[:64] if name.isidentifier() else "query"
            raise InvalidRequest("There is no such query parameter; remove it", target=target)


def _check_headers(request: Request) -> None:
    if not is_json(request.headers.get("content-type", "")):
        message = "Send the body with the header content-type: application/json"
        raise InvalidRequest(message, target="content-type")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(415, "The body is compressed; send it without a content-encoding")


def _reject(reason: str) -> NoReturn:
    raise json.JSONDecodeError(reason, "", 0)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        _reject("a key appears twice in one object")
    return found


def _finite(text: str) -> float:
    """Parse a number; 1.0 becomes 1, because stores may return either and the body is hashed."""
    if not math.isfinite(value := float(text)):
        _reject("a number is too large")
    return int(value) if value.is_integer() and abs(value) <= MAX_EXACT_INTEGER else value


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        _reject("a number is too large")
    return int(text)


def _check_exact(value: Any) -> None:
    """Reject integers that Cosmos DB would round."""
    if isinstance(value, int) and abs(value) > MAX_EXACT_INTEGER:
        _reject("an integer is beyond 2^53 and would change when stored; send it as text")
    for item in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        _check_exact(item)


def _check(value: Any, levels_left: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list | dict):
        if levels_left == 0:
            _reject(f"it is nested deeper than {MAX_DEPTH} levels")
        for item in value:
            _check(item, levels_left - 1)
        for item in value.values() if isinstance(value, dict) else ():
            _check(item, levels_left - 1)


def _check_text(text: str) -> None:
    if "\0" in text:
        _reject("a text contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        _reject("a text contains a lone surrogate")
