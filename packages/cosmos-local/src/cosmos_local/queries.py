"""Answers one page of a query over one area of a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cosmos_local import rules
from cosmos_local.checker import check
from cosmos_local.computed import substitute
from cosmos_local.conjuncts import key_in
from cosmos_local.containers import Definition
from cosmos_local.paging import decode, fingerprint
from cosmos_local.parser import parse_query
from cosmos_local.runs import Run
from cosmos_local.search_indexes import SearchIndexes
from cosmos_local.storage import Area, Storage
from cosmos_local.syntax import Query, bind_keys
from cosmos_local.values import Value, canonical


@dataclass(frozen=True, slots=True)
class Question:
    """A query as asked: its text, where, how much, and from where on."""

    text: str
    parameters: Mapping[str, Value]
    area: Area
    size: int
    continuation: str | None = None
    cut: int | None = None
    everywhere: bool = False  # asked of the gateway without a partition key or range
    may_cross: bool = True  # it may read several partitions
    is_component: bool = False  # a part of a query plan


@dataclass(frozen=True, slots=True)
class Answer:
    """A page of results as JSON texts."""

    documents: list[str]
    continuation: str | None
    rows_read: int


def answer(
    question: Question,
    definition: Definition,
    storage: Storage,
    indexes: SearchIndexes,
    now: float,
) -> Answer:
    """Check the query, run it, and cut the page."""
    query = bind_keys(parse_query(question.text), question.parameters)
    check(query, question.parameters, internal=question.is_component)
    rules.check_limits(query)
    rules.check_indexes(query, definition)
    if question.everywhere:
        question = _routed(question, query, definition)
    area = question.area
    mark = fingerprint(
        area.container, area.partition, area.epk_from, area.epk_to, question.text,
        question.parameters,
    )  # fmt: skip
    start = decode(question.continuation, mark)
    before = storage.rows_read
    rewritten = substitute(query, definition.computed)
    run = Run(rewritten, question.parameters, area, definition, storage, indexes, now)
    page = run.page(start, question.size, question.cut)
    token = None if page.token is None else page.token.encode(mark)
    return Answer(page.documents, token, storage.rows_read - before)


def _routed(question: Question, query: Query, definition: Definition) -> Question:
    """Send a query whose filter fixes the partition key to that partition."""
    key = key_in(query, question.parameters, definition.key.paths)
    if key is not None:
        area = Area(question.area.container, canonical(key))
        return replace(question, area=area, everywhere=False)
    if not question.may_cross:
        raise rules.cross_partition_refused()
    rules.check_servable(query, definition)
    return question
