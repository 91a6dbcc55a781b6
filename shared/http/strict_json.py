"""Strict JSON: no duplicate keys, NaN, inexact numbers or lone surrogates."""

import asyncio
import json
import math
from codecs import BOM_UTF8
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from shared.domain.errors import InvalidRequest
from shared.http.media_types import is_json
from shared.http.principal import require_principal
from shared.http.request_limits import MAX_BODY_BYTES_OF, MAX_SMALL_BODY_BYTES, limited

MAX_DEPTH = 32  # levels; the parsers of the stores behind us differ beyond this
PLATFORM_PARAMETERS = {"code"}  # a function key, which the platform has checked
NOT_STORED = frozenset({"tools"})  # fields of a body whose numbers only the provider reads
MAX_VALUES = 200_000  # of a body, with its keys: more than the largest valid one has
MAX_PARSED_ON_LOOP = 32_768  # bytes: a longer body is parsed in a thread
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
    if _check(value, MAX_DEPTH) > MAX_VALUES:
        _reject(f"it has more than {MAX_VALUES} values")
    stored = value.items() if isinstance(value, dict) else [("", value)]
    for name, part in stored:
        if name not in NOT_STORED:
            _check_exact(part)
    return value


class StrictRoute(APIRoute):
    """A route whose bodies are parsed strictly, and which knows its query parameters.

    Callers are authenticated before anything of a body is read (F49).
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler so that it reads the request strictly."""
        inner = super().get_route_handler()
        fields = get_flat_params(self.dependant)
        known = {field.alias for field in fields if isinstance(field.field_info, Query)}
        needs_principal = _calls(self.dependant, require_principal)
        max_bytes = MAX_BODY_BYTES_OF.get(self.operation_id or "", MAX_SMALL_BODY_BYTES)

        async def handle(request: Request) -> Response:
            if needs_principal:
                await require_principal(request)
            _check_query(request, known | PLATFORM_PARAMETERS)
            if self.body_field is not None:
                _check_headers(request)
            receive = limited(request.receive, request.scope, max_bytes)
            return await inner(_StrictRequest(request.scope, receive))

        return handle


class _StrictRequest(Request):
    async def json(self) -> Any:
        raw = (await self.body()).removeprefix(BOM_UTF8)
        if len(raw) <= MAX_PARSED_ON_LOOP:
            return parse(raw)
        return await asyncio.to_thread(parse, raw)  # others go on meanwhile


def _calls(dependant: Dependant, call: object) -> bool:
    return any(each.call is call or _calls(each, call) for each in dependant.dependencies)


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


def _check(value: Any, levels_left: int) -> int:
    """Check texts and depth; returns how many values there are."""
    count = 1
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list | dict):
        if levels_left == 0:
            _reject(f"it is nested deeper than {MAX_DEPTH} levels")
        items = [*value, *value.values()] if isinstance(value, dict) else value
        count += sum(_check(item, levels_left - 1) for item in items)
    return count


def _check_text(text: str) -> None:
    if "\0" in text:
        _reject("a text contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        _reject("a text contains a lone surrogate")
