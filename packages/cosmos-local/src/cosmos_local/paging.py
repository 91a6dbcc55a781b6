"""Pages of a query's results, and the tokens that lead from one to the next."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from cosmos_local.errors import bad_request
from cosmos_local.values import UNDEFINED, Undefined, Value, dump, sort_key

DEFAULT_PAGE = 100
MAX_PAGE = 1000
MAX_PAGE_BYTES = 4 * 1024 * 1024
Position: TypeAlias = "list[object]"  # wrapped order values, then the row; or a running number


@dataclass(frozen=True, slots=True)
class Token:
    """Where a query goes on: how many results were given, and the position of the last one."""

    given: int = 0
    position: Position | None = None

    def encode(self, fingerprint: str) -> str:
        """Write the token for the continuation header."""
        return base64.urlsafe_b64encode(
            dump([fingerprint, self.given, self.position]).encode()
        ).decode()


@dataclass(frozen=True, slots=True)
class Page:
    """Results as JSON texts, and the token of the next page if there is one."""

    documents: list[str]
    token: Token | None


def decode(text: str | None, fingerprint: str) -> Token:
    """Read a continuation header; a token of another query is refused."""
    if not text:
        return Token()
    try:
        owner, given, position = json.loads(base64.urlsafe_b64decode(text))
    except (ValueError, TypeError, binascii.Error) as error:
        raise bad_request("Invalid Continuation Token") from error
    if owner != fingerprint or not isinstance(given, int) or not isinstance(position, list | None):
        raise bad_request("Invalid Continuation Token")
    return Token(given, position)


def fingerprint(*parts: object) -> str:
    """Return what a token must have been made for."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def fill(
    results: Iterator[tuple[Position, str]],
    start: Token,
    size: int,
    *,
    exact_cut: int | None = None,
) -> Page:
    """Take results until the page is full; a page always says whether there is more.

    `exact_cut` makes the page shorter, down to empty, as the service sometimes does.
    """
    most = size if exact_cut is None else min(size, exact_cut)
    documents: list[str] = []
    token = start
    used = 0
    for position, text in results:
        if len(documents) >= most or (documents and used + len(text) > MAX_PAGE_BYTES):
            return Page(documents, token)
        documents.append(text)
        used += len(text)
        token = Token(token.given + 1, position)
    return Page(documents, None)


def page_size(asked: int) -> int:
    """Return how many results a page may have; -1 leaves it to the service."""
    if asked == -1:
        return MAX_PAGE
    if asked < 1:
        raise bad_request("The x-ms-max-item-count must be -1 or positive.")
    return min(asked, MAX_PAGE)


def wrap(value: Value) -> list[object]:
    """Write an ORDER BY value so that undefined survives JSON."""
    return [] if isinstance(value, Undefined) else [value]


def unwrap(value: Value) -> Value:
    """Read an ORDER BY value of a token."""
    return value[0] if isinstance(value, list) and value else UNDEFINED


def is_after(values: list[object], token: list[object], directions: list[bool]) -> bool:
    """Tell whether a result's order values and row come after those of a token."""
    for value, mark, descending in zip(values[:-1], token[:-1], directions, strict=True):
        here, there = sort_key(unwrap(value)), sort_key(unwrap(mark))
        if here != there:
            return (here < there) if descending else (here > there)
    return int(str(values[-1])) > int(str(token[-1]))
