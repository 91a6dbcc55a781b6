"""Lookups: the product's search with parts of it switched off, and the time of each part."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC

from shared.adapters.system_clock import SystemClock
from shared.bootstrap.stores import Stores
from shared.domain.deadlines import Deadlines
from shared.domain.ids import UserId
from shared.domain.messages import Message
from shared.domain.recall.excerpts import fit_excerpts
from shared.domain.recall.ranking import FoundTurn, Place, Ranked, best_first
from shared.domain.recall.search_text import question_text
from shared.domain.sessions import Header
from shared.domain.tokens import estimate_tokens
from shared.domain.vectors import Vector
from shared.ports.models import Embedder
from shared.ports.search import TurnIndex
from shared.services.recall.search import Recall
from shared.telemetry.meter import start_meter


@dataclass(frozen=True, slots=True)
class Variant:
    """Which parts of a search are switched on."""

    name: str
    keywords: bool = True
    meaning: bool = True
    neighbours: bool = True


VARIANTS = (
    Variant("keywords alone", meaning=False),
    Variant("meaning alone", keywords=False),
    Variant("both, without neighbours", neighbours=False),
    Variant("both"),
)
UNRELATED = (
    "Hello, how are you today?",
    "Thanks, that helps a lot",
    "Sounds good, let's go on",
    "Good morning! Ready to start?",
    "Please shorten the last paragraph",
    "What is 17 times 23?",
    "Translate 'the invoice is overdue' into Finnish",
    "Write a regular expression that matches e-mail addresses",
    "Explain the difference between TCP and UDP",
    "Why does my Python script raise a KeyError?",
    "Convert 250 degrees Fahrenheit to Celsius",
    "Which planet has the most moons?",
    "Sort these numbers: 9, 4, 7, 1",
    "Summarise the second law of thermodynamics",
    "Is it going to rain tomorrow?",
    "What does the abbreviation VAT stand for?",
    "Give me a haiku about compilers",
    "Please format the table as CSV",
    "How long do I boil an egg?",
    "What time is it in Tokyo now?",
)


@dataclass(frozen=True, slots=True)
class Lookup:
    """The result of a search, best first, and the milliseconds of each of its parts."""

    found: Sequence[Ranked]
    times: Mapping[str, float]
    requests: int
    degraded: bool

    @property
    def ranked(self) -> list[tuple[str, str]]:
        """Session and turn of each result."""
        return [(one.turn.session_id.value, one.turn.turn_id.value) for one in self.found]

    def within(self, tokens: int) -> tuple[set[tuple[str, str]], int]:
        """Return session and turn of what fits into a budget, and the tokens used."""
        excerpts = fit_excerpts(self.found, tokens, estimate_tokens)
        included = {
            (turn.session_id.value, turn.turn_id.value)
            for excerpt in excerpts
            for turn in excerpt.turns
        }
        return included, sum(estimate_tokens(excerpt.text) for excerpt in excerpts)


@dataclass(slots=True)
class CachingEmbedder:
    """An embedder that embeds the same texts only once; `times` has the last miss."""

    embedder: Embedder
    times: dict[str, float] = field(default_factory=dict)
    _cache: dict[tuple[str, ...], Sequence[Vector]] = field(default_factory=dict, init=False)

    @property
    def model(self) -> str:
        """The model's name."""
        return self.embedder.model

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return the vectors, from the cache if possible."""
        key, start = tuple(texts), time.perf_counter()
        if key not in self._cache:
            self._cache[key] = await self.embedder.embed(texts)
            self.times["embedding"] = _since(start)
        return self._cache[key]


@dataclass(slots=True)
class PartialIndex:
    """A turn index in which some searches find nothing, and the others are timed."""

    index: TurnIndex
    variant: Variant
    times: dict[str, float] = field(default_factory=dict)

    async def find_by_keywords(self, user: UserId, words: Sequence[str]) -> Sequence[FoundTurn]:
        """Find what the index finds, or nothing."""
        if not self.variant.keywords:
            return ()
        start = time.perf_counter()
        found = await self.index.find_by_keywords(user, words)
        self.times["keywords"] = _since(start)
        return found

    async def find_by_meaning(self, user: UserId, vector: Vector) -> Sequence[FoundTurn]:
        """Find what the index finds."""
        start = time.perf_counter()
        found = await self.index.find_by_meaning(user, vector)
        self.times["meaning"] = _since(start)
        return found

    async def read_around(self, user: UserId, places: Sequence[Place]) -> Sequence[FoundTurn]:
        """Read what the index reads, or nothing."""
        if not self.variant.neighbours:
            return ()
        start = time.perf_counter()
        found = await self.index.read_around(user, places)
        self.times["neighbours"] = _since(start)
        return found


@dataclass(frozen=True, slots=True)
class Searcher:
    """Searches as a turn does."""

    stores: Stores
    embedder: CachingEmbedder | None

    async def search(self, user: UserId, header: Header, message: str, variant: Variant) -> Lookup:
        """Return what is recalled for the first message of a new session."""
        index, meter = PartialIndex(self.stores.turn_index, variant), start_meter()
        embedder = self.embedder if variant.meaning else None
        if embedder:
            embedder.times = {}
        clock = SystemClock()
        text = question_text([Message(role="user", content=message, at=clock.now())], UTC)
        with Recall(index, embedder, clock, Deadlines()).searching(user, message, text) as search:
            recalled = await search.finish(header, ())
        times = index.times | (embedder.times if embedder else {})
        found = (
            recalled.ranked
            if variant.neighbours
            else best_first(replace(one, neighbour_score=0.0) for one in recalled.ranked)
        )
        return Lookup(found, times, meter.cosmos_calls, bool(recalled.degraded))


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
