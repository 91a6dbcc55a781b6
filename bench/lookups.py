"""Lookups: the product's search with parts of it left out, each part timed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
class Way:
    """What of a search is done; `nearby` is to look at what stands next to what was found."""

    name: str
    by_words: bool = True
    by_meaning: bool = True
    nearby: bool = True


WAYS = (
    Way("words alone", by_meaning=False),
    Way("meaning alone", by_words=False),
    Way("both, without neighbours", nearby=False),
    Way("both"),
)
SMALL_TALK = (
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
class Looked:
    """What a search found, best first; milliseconds of each of its parts."""

    found: Sequence[Ranked]
    times: Mapping[str, float]
    requests: int
    degraded: bool

    @property
    def ranked(self) -> list[tuple[str, str]]:
        """Session and turn of each."""
        return [(one.turn.session_id.value, one.turn.turn_id.value) for one in self.found]

    def within(self, tokens: int) -> tuple[set[tuple[str, str]], int]:
        """Session and turn of what fits, and the tokens it takes."""
        passages = fit_excerpts(self.found, tokens, estimate_tokens)
        told = {
            (turn.session_id.value, turn.turn_id.value)
            for passage in passages
            for turn in passage.turns
        }
        return told, sum(estimate_tokens(passage.text) for passage in passages)


class Remembering:
    """An embedder that is asked only once for the same texts."""

    def __init__(self, embedder: Embedder) -> None:
        """Take the embedder."""
        self._embedder = embedder
        self._known: dict[tuple[str, ...], Sequence[Vector]] = {}
        self.times: dict[str, float] = {}

    @property
    def model(self) -> str:
        """The model's name."""
        return self._embedder.model

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """The vectors; raises what the embedder raises."""
        key, began = tuple(texts), time.perf_counter()
        if key not in self._known:
            self._known[key] = await self._embedder.embed(texts)
            self.times["embedding"] = _since(began)
        return self._known[key]


@dataclass(slots=True)
class PartOf:
    """A turn index of which some ways to search find nothing, and which times the others."""

    index: TurnIndex
    way: Way
    times: dict[str, float] = field(default_factory=dict)

    async def find_by_words(self, user: UserId, words: Sequence[str]) -> Sequence[FoundTurn]:
        """As the index does, or nothing."""
        began = time.perf_counter()
        found = await self.index.find_by_words(user, words) if self.way.by_words else ()
        self.times |= {"words": _since(began)} if self.way.by_words else {}
        return found

    async def find_by_meaning(self, user: UserId, vector: Vector) -> Sequence[FoundTurn]:
        """As the index does."""
        began = time.perf_counter()
        found = await self.index.find_by_meaning(user, vector)
        self.times["meaning"] = _since(began)
        return found

    async def read_around(self, user: UserId, places: Sequence[Place]) -> Sequence[FoundTurn]:
        """As the index does, or nothing."""
        began = time.perf_counter()
        found = await self.index.read_around(user, places) if self.way.nearby else ()
        self.times |= {"around": _since(began)} if self.way.nearby else {}
        return found


class Lookups:
    """Looks things up as a turn does."""

    def __init__(self, stores: Stores, embedder: Remembering | None) -> None:
        """Take the stores, and the embedder if there is one."""
        self.stores = stores
        self._embedder = embedder

    async def look(self, user: UserId, header: Header, message: str, way: Way) -> Looked:
        """What is recalled for a message, said in a new session."""
        index, meter = PartOf(self.stores.turn_index, way), start_meter()
        embedder = self._embedder if way.by_meaning else None
        if embedder:
            embedder.times = {}
        clock = SystemClock()
        told = question_text([Message(role="user", content=message, at=clock.now())])
        with Recall(index, embedder, clock, Deadlines()).searching(user, message, told) as search:
            recalled = await search.finish(header, ())
        times = index.times | (embedder.times if embedder else {})
        found = (
            recalled.ranked
            if way.nearby
            else best_first(replace(one, nearby=0.0) for one in recalled.ranked)
        )
        return Looked(found, times, meter.cosmos_calls, bool(recalled.degraded))


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
