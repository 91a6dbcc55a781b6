"""Recall: what the user said before, in any session, that relates to the current message."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.domain.deadlines import Deadlines
from shared.domain.errors import Busy, StoreUnavailable
from shared.domain.ids import UserId
from shared.domain.quarantine import EMPTY, Quarantine
from shared.domain.recall.excerpts import MAX_EXPANDED_HITS, add_neighbours
from shared.domain.recall.keywords import count_words, extract_keywords
from shared.domain.recall.ranking import FoundTurn, Place, Ranked, rank
from shared.domain.sessions import Header
from shared.domain.turns import Turn
from shared.domain.vectors import Vector
from shared.ports.models import Embedder, EmbedderUnavailable
from shared.ports.search import TurnIndex
from shared.ports.system import Clock
from shared.telemetry import log_failure, names
from shared.telemetry.spans import count_records, memory_span

MIN_WORDS = 2  # keywords in a message worth embedding: keyword search finds a single one as well
MAX_SEARCHES = 16  # concurrent queries of a worker; one that waits too long is given up
RECALL_FAILED, KEYWORDS_ONLY = "recall", "recall_semantic"

Result = TypeVar("Result")
Found = asyncio.Task[Sequence[FoundTurn]]


@dataclass(frozen=True, slots=True)
class RecallResult:
    """What a search found, best first, and which parts of it failed."""

    ranked: Sequence[Ranked] = ()
    degraded: tuple[str, ...] = ()


class Recall:
    """Searches a user's turns by keywords and by meaning at the same time. Read-only."""

    def __init__(
        self, index: TurnIndex, embedder: Embedder | None, clock: Clock, deadlines: Deadlines
    ) -> None:
        """Without an embedder the index is searched by keywords alone."""
        self.index = index
        self.embedder = embedder
        self.clock = clock
        self.deadlines = deadlines
        self.slots = asyncio.Semaphore(MAX_SEARCHES)

    @contextmanager
    def searching(self, user: UserId, message: str, turn_text: str) -> Iterator["Search"]:
        """A search for a message; what is not ready at the end of the block is cancelled.

        `turn_text` is the message as it will be stored: the same model call embeds it too.
        """
        search = Search(self, user, message, turn_text)
        try:
            yield search
        finally:
            search.cancel()


class Search:
    """One search."""

    def __init__(self, recall: Recall, user: UserId, message: str, turn_text: str) -> None:
        self._recall = recall
        self._user = user
        self._texts = (message, turn_text)
        self._words = extract_keywords(message)
        self._ends_at = 0.0
        self._running: list[asyncio.Task[Any]] = []
        self._embedding: asyncio.Task[Sequence[Vector]] | None = None

    async def finish(
        self, header: Header, known: Sequence[Turn], quarantine: Quarantine = EMPTY
    ) -> RecallResult:
        """Search, and return what was found in time with the turns around it.

        Leaves out turns that the prompt includes anyway, what is in quarantine, everything from
        before an erase, and everything that has expired.
        """
        if not self._words:
            return RecallResult()
        self._ends_at = asyncio.get_running_loop().time() + self._recall.deadlines.recall
        with memory_span(names.SEARCH_MEMORY) as span:
            excluded = {(turn.gen, turn.seq) for turn in known} | quarantine.places
            result = await self._search(header, excluded)
            count_records(span, len(result.ranked))
        return result

    def vector(self) -> Vector | None:
        """The vector of the message as it is stored, if it has arrived by now."""
        done = self._embedding
        if done is None or not done.done() or done.cancelled() or done.exception():
            return None
        return done.result()[1]

    def cancel(self) -> None:
        """Stop what is still running. Idempotent."""
        for task in self._running:
            task.cancel()

    async def _search(self, header: Header, known: set[Place]) -> RecallResult:
        by_words, by_meaning = self._start(self._find_by_keywords()), None
        if self._recall.embedder and count_words(self._words) >= MIN_WORDS:
            self._embedding = self._start(self._recall.embedder.embed(self._texts))
            by_meaning = self._start(self._find_by_meaning(self._embedding))
        parts = [part for part in (by_words, by_meaning) if part]
        await asyncio.wait(parts)  # each ends by itself at its deadline
        degraded = dict.fromkeys(_flag(failed) for part in parts if (failed := part.exception()))
        hits = rank(_found(by_words), _found(by_meaning))
        usable = [
            hit for hit in hits if hit.turn.place not in known and self._is_usable(hit.turn, header)
        ]
        try:
            async with asyncio.timeout_at(self._ends_at):
                return RecallResult(
                    await self._add_neighbours(usable, header, known), tuple(degraded)
                )
        except Exception as failed:  # noqa: BLE001 - memory must not get in the way of the turn
            degraded |= {_flag(failed): None}
            return RecallResult(add_neighbours(usable, ()), tuple(degraded))

    def _start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # is retrieved
        self._running.append(task)
        return task

    async def _find_by_keywords(self) -> Sequence[FoundTurn]:
        async with asyncio.timeout_at(self._ends_at), self._recall.slots:
            return await self._recall.index.find_by_keywords(self._user, self._words)

    async def _find_by_meaning(
        self, embedding: asyncio.Task[Sequence[Vector]]
    ) -> Sequence[FoundTurn]:
        try:
            async with asyncio.timeout(self._recall.deadlines.embedding):
                vectors = await asyncio.shield(embedding)
        except TimeoutError as late:
            raise EmbedderUnavailable from late
        async with asyncio.timeout_at(self._ends_at), self._recall.slots:
            return await self._recall.index.find_by_meaning(self._user, vectors[0])

    async def _add_neighbours(
        self, hits: Sequence[Ranked], header: Header, known: set[Place]
    ) -> Sequence[Ranked]:
        if not hits:
            return ()
        places = [hit.turn.place for hit in hits[:MAX_EXPANDED_HITS]]
        around = await self._recall.index.read_around(self._user, places)
        usable = [t for t in around if t.place not in known and self._is_usable(t, header)]
        return add_neighbours(hits, usable)

    def _is_usable(self, turn: FoundTurn, header: Header) -> bool:
        return turn.epoch == header.epoch and turn.expires_at > self._recall.clock.now()


def _flag(failed: BaseException) -> str:
    """The flag for a part that failed. What neither store nor model raises is a bug: log it."""
    if isinstance(failed, EmbedderUnavailable):
        return KEYWORDS_ONLY
    if not isinstance(failed, StoreUnavailable | Busy | TimeoutError):
        log_failure("recall_failed", failed)
    return RECALL_FAILED


def _found(part: Found | None) -> Sequence[FoundTurn]:
    return part.result() if part and not part.exception() else ()
