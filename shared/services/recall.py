"""Recall: what the user said before, in any session, that has to do with what they say now."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.domain.errors import Busy, StoreUnavailable
from shared.domain.ids import UserId
from shared.domain.passages import MAX_SURROUNDED, surround
from shared.domain.ranking import FoundTurn, Place, Ranked, rank
from shared.domain.turns import Header, Turn
from shared.domain.vectors import Vector
from shared.domain.words import content_words, count_words
from shared.ports.clock import Clock
from shared.ports.embedder import Embedder, EmbedderUnavailable
from shared.ports.turn_index import TurnIndex
from shared.telemetry import log_failure, names
from shared.telemetry.spans import count_records, memory_span

RECALL_SECONDS = 0.8  # of a turn: memory must not hold up the conversation
EMBEDDING_SECONDS = 0.3  # of it; a later vector still goes into the store with its turn
MIN_WORDS = 2  # that say something, in a message worth a vector: one is found as well by itself
MAX_SEARCHES = 16  # queries of a worker at once; one that waits in vain goes without
SLOW, WORDS_ONLY = "recall", "recall_semantic"

Result = TypeVar("Result")
Found = asyncio.Task[Sequence[FoundTurn]]


@dataclass(frozen=True, slots=True)
class Recalled:
    """What came of a search, best first, and what of it did not work."""

    ranked: Sequence[Ranked] = ()
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Means:
    """What all searches of a worker share."""

    index: TurnIndex
    embedder: Embedder | None
    clock: Clock
    let_in: asyncio.Semaphore


class Recall:
    """Searches a user's turns by words and by meaning, side by side. Nothing is written, so twice is harmless."""

    def __init__(self, index: TurnIndex, embedder: Embedder | None, clock: Clock) -> None:
        """Take the index; without an embedder it is searched by words alone."""
        self._means = _Means(index, embedder, clock, asyncio.Semaphore(MAX_SEARCHES))

    @contextmanager
    def searching(self, user: UserId, message: str, told: str) -> Iterator["Search"]:
        """A search for a message, if it says anything; what is not ready at the end of the block is given up.

        `told` is the message as it will be stored: it gets its vector by the same call of the model.
        """
        search = Search(self._means, user, message, told)
        try:
            yield search
        finally:
            search.give_up()


class Search:
    """One search."""

    def __init__(self, means: _Means, user: UserId, message: str, told: str) -> None:
        """Begin nothing yet."""
        self._means = means
        self._user = user
        self._texts = (message, told)
        self._words = content_words(message)
        self._ends_at = 0.0
        self._running: list[asyncio.Task[Any]] = []
        self._embedding: asyncio.Task[Sequence[Vector]] | None = None

    async def finish(self, header: Header, known: Sequence[Turn]) -> Recalled:
        """Search; what is found in time, with what stands around it, apart from turns that are known anyway.

        Nothing from before an erase, and nothing that has expired.
        """
        if not self._words:
            return Recalled()
        self._ends_at = asyncio.get_running_loop().time() + RECALL_SECONDS
        with memory_span(names.SEARCH_MEMORY) as span:
            recalled = await self._search(header, {(turn.gen, turn.seq) for turn in known})
            count_records(span, len(recalled.ranked))
        return recalled

    def vector(self) -> Vector | None:
        """The vector of the message as it is stored, if it is there by now."""
        done = self._embedding
        return (
            done.result()[1]
            if done and done.done() and not done.cancelled() and not done.exception()
            else None
        )

    def give_up(self) -> None:
        """Stop what still runs. Twice is harmless."""
        for task in self._running:
            task.cancel()

    async def _search(self, header: Header, known: set[Place]) -> Recalled:
        by_words, by_meaning = self._start(self._find_by_words()), None
        if self._means.embedder and count_words(self._words) >= MIN_WORDS:
            self._embedding = self._start(self._embed(self._means.embedder))
            by_meaning = self._start(self._find_by_meaning(self._embedding))
        parts = [part for part in (by_words, by_meaning) if part]
        await asyncio.wait(parts)  # each ends by itself when its time is over
        degraded = dict.fromkeys(_flag(failed) for part in parts if (failed := part.exception()))
        hits = [
            hit for hit in rank(_found(by_words), _found(by_meaning)) if hit.turn.place not in known
        ]
        usable = [hit for hit in hits if self._is_usable(hit.turn, header)]
        try:
            async with asyncio.timeout_at(self._ends_at):
                return Recalled(await self._surround(usable, header, known), tuple(degraded))
        except Exception as failed:  # noqa: BLE001 - whatever it is, memory does not get in the way of the turn
            return Recalled(surround(usable, ()), tuple(degraded | {_flag(failed): None}))

    def _start(self, work: Coroutine[None, None, Result]) -> asyncio.Task[Result]:
        task = asyncio.create_task(work)
        task.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # for those that nobody asks for
        self._running.append(task)
        return task

    async def _embed(self, embedder: Embedder) -> Sequence[Vector]:
        return await embedder.embed(self._texts)

    async def _find_by_words(self) -> Sequence[FoundTurn]:
        async with asyncio.timeout_at(self._ends_at), self._means.let_in:
            return await self._means.index.find_by_words(self._user, self._words)

    async def _find_by_meaning(
        self, embedding: asyncio.Task[Sequence[Vector]]
    ) -> Sequence[FoundTurn]:
        try:
            async with asyncio.timeout(EMBEDDING_SECONDS):
                vectors = await asyncio.shield(embedding)
        except TimeoutError as late:
            raise EmbedderUnavailable from late
        async with asyncio.timeout_at(self._ends_at), self._means.let_in:
            return await self._means.index.find_by_meaning(self._user, vectors[0])

    async def _surround(
        self, hits: Sequence[Ranked], header: Header, known: set[Place]
    ) -> Sequence[Ranked]:
        if not hits:
            return ()
        beside = await self._means.index.read_around(
            self._user, [hit.turn.place for hit in hits[:MAX_SURROUNDED]]
        )
        return surround(
            hits, [t for t in beside if t.place not in known and self._is_usable(t, header)]
        )

    def _is_usable(self, turn: FoundTurn, header: Header) -> bool:
        return turn.epoch == header.epoch and turn.expires_at > self._means.clock.now()


def _flag(failed: BaseException) -> str:
    """What an answer says of a part that failed; what is no failure of a store or model is a defect, and logged."""
    if isinstance(failed, EmbedderUnavailable):
        return WORDS_ONLY
    if not isinstance(failed, StoreUnavailable | Busy | TimeoutError):
        log_failure("recall_failed", failed)
    return SLOW


def _found(part: Found | None) -> Sequence[FoundTurn]:
    return part.result() if part and not part.exception() else ()
