"""Strict JSON: no duplicate keys, NaN, inexact numbers or lone surrogates."""

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

from shared.domain.errors import InvalidRequest

MAX_DEPTH = 32  # levels; the parsers of the stores behind us differ beyond this
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
            parse_int=_exact,
        )
    except RecursionError:
        _reject(f"it is nested deeper than {MAX_DEPTH} levels")
    _check(value, MAX_DEPTH)
    return value


class StrictRoute(APIRoute):
    """A route whose bodies are parsed strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler so that it reads the body strictly."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if self.body_field is not None and not _is_json(
                request.headers.get("content-type", "")
            ):
                message = "Send the body with the header content-type: application/json"
                raise InvalidRequest(message, target="content-type")
            return await inner(_StrictRequest(request.scope, request.receive))

        return handle


class _StrictRequest(Request):
    async def json(self) -> Any:
        return parse(await self.body())


def _is_json(media_type: str) -> bool:
    name = media_type.partition(";")[0].strip().lower()
    return name == "application/json" or (
        name.startswith("application/") and name.endswith("+json")
    )


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


def _exact(text: str) -> int:
    if len(text) > len(str(-MAX_EXACT_INTEGER)) or abs(value := int(text)) > MAX_EXACT_INTEGER:
        _reject("an integer is beyond 2^53 and would change when stored; send it as text")
    return value


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
