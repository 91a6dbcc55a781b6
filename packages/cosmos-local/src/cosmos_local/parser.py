"""Query text to syntax tree."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path

from lark import Lark
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

from cosmos_local.builder import Builder
from cosmos_local.errors import Refusal, bad_request, sql_error
from cosmos_local.syntax import Query

MAX_QUERY_BYTES = 512 * 1024  # the service's limit on a query text
_MAX_NESTING = 100  # deeper trees are refused rather than left to Python's recursion limit


@lru_cache(maxsize=512)
def parse_query(text: str) -> Query:
    """Parse a SELECT."""
    return _parse(text, "query")


@lru_cache(maxsize=512)
def parse_predicate(text: str) -> Query:
    """Parse the condition of a patch: `from c where …`."""
    return _parse(text, "predicate")


def _parse(text: str, start: str) -> Query:
    if len(text) > MAX_QUERY_BYTES:
        raise bad_request("The SQL query text exceeded the maximum limit of 524288 characters.")
    _limit_nesting(text)
    try:
        tree = _grammar().parse(text, start=start)
        query: Query = Builder().transform(tree)
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from error
    except VisitError as error:
        if isinstance(error.orig_exc, Refusal):
            raise error.orig_exc from error
        if isinstance(error.orig_exc, RecursionError):
            raise bad_request("The query is nested too deeply.") from error
        raise
    except RecursionError as error:
        raise bad_request("The query is nested too deeply.") from error
    return query


@cache
def _grammar() -> Lark:
    grammar = (Path(__file__).parent / "query.lark").read_text()
    return Lark(
        grammar,
        parser="lalr",
        lexer="basic",
        start=["query", "predicate"],
        propagate_positions=True,
    )


def _limit_nesting(text: str) -> None:
    if len(re.findall(r"[(\[{]", text)) <= _MAX_NESTING:
        return
    depth = deepest = 0
    for mark in re.findall(r"[(\[{)\]}]", text):
        depth += 1 if mark in "([{" else -1
        deepest = max(deepest, depth)
    if deepest > _MAX_NESTING:
        raise bad_request("The query is nested too deeply.")


def _syntax_error(text: str, error: UnexpectedInput) -> Refusal:
    start: int = getattr(error, "pos_in_stream", None) or 0
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return sql_error("SC1001", "Syntax error, unexpected end of query.", len(text), len(text))
    if isinstance(error, UnexpectedCharacters):
        return sql_error(
            "SC1010",
            f"Syntax error, invalid token near '{text[start : start + 20]}'.",
            start,
            start + 1,
        )
    word = str(error.token) if isinstance(error, UnexpectedToken) else text[start : start + 20]
    return sql_error(
        "SC1001", f"Syntax error, incorrect syntax near '{word}'.", start, start + len(word)
    )
