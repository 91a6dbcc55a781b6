"""How much of the evidence for an answer is recalled: `python -m bench.recall --data FILE`.

The product stores long dialogues of two people and adds vectors by consolidation. Then it searches
for every question: by keywords, by meaning, by both, and by both without neighbours. The score of a
question is the share of its evidence that is included within a budget of tokens. All parts are
real; by default, vectors come from the bundled embedder.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.dialogues import GARDEN, SOURCE, Dialogue, Session, read_dialogues
from bench.lookups import UNRELATED, VARIANTS, CachingEmbedder, Lookup, Searcher
from bench.scores import (
    Place,
    Score,
    print_categories,
    print_scores,
    print_times,
    print_unrelated,
    score_lookup,
)
from cosmos_local import LocalCosmos
from local import embedder
from local.children import child, first_line
from local.models import EMBEDDER
from shared.adapters.system_clock import SystemClock
from shared.bootstrap.services import Services
from shared.bootstrap.stores import Stores, make_stores
from shared.domain.ids import SessionId, TurnId, UserId
from shared.domain.messages import Message
from shared.domain.sessions import Header
from shared.ports.jobs import ConsolidationJob
from shared.services.turns import RecordRequest
from tests.support.app import ModelAt, running

CONTAINERS = Path(__file__).parent.parent / "infra" / "containers.json"
BUDGETS = (500, 1000, 2000)


@dataclass(frozen=True, slots=True)
class Results:
    """The lookups and scores of every question, by variant."""

    lookups: Mapping[str, list[Lookup]]
    scores: Mapping[str, list[Score]]


def main() -> int:
    """Measure and print the tables; return 1 without data."""
    given = _parse()
    if not given.quick and not (given.data and given.data.is_file()):
        print(f"--data needs a file of dialogues. {SOURCE}", file=sys.stderr)
        return 1
    dialogues = (GARDEN,) if given.quick else read_dialogues(given.data)[: given.conversations]
    asyncio.run(_run(dialogues, given.budgets, given.embeddings))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a file of dialogues in LoCoMo's format")
    parser.add_argument("--conversations", type=int, help="use only the first ones (default: all)")
    parser.add_argument(
        "--budgets", type=int, nargs="+", default=BUDGETS, help="in tokens (default: 500 1000 2000)"
    )
    parser.add_argument(
        "--embeddings",
        choices=("minilm", "environment", "none"),
        default="minilm",
        help="environment uses the model that EMBEDDING_* configure (default: %(default)s)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="use a tiny dialogue of our own, to see that it works"
    )
    return parser.parse_args()


async def _run(dialogues: Sequence[Dialogue], budgets: Sequence[int], embeddings: str) -> None:
    async with (
        _embedder(embeddings) as settings,
        _services(settings) as services,
    ):
        model = services.clients.embeddings
        stores = make_stores(services.clients, SystemClock())
        searcher = Searcher(stores, CachingEmbedder(model) if model else None)
        names = [variant.name for variant in VARIANTS if model or not variant.meaning]
        results = Results({name: [] for name in names}, {name: [] for name in names})
        for dialogue in dialogues:
            await _measure(services, searcher, dialogue, budgets, results)
    print_scores(results.scores, budgets)
    print_categories(results.scores[names[-1]], budgets)
    print_times(results.lookups)


@contextlib.asynccontextmanager
async def _services(settings: Mapping[str, Any]) -> AsyncIterator[Services]:
    """Yield the product's services over an empty local Cosmos DB and no chat model."""
    with contextlib.closing(LocalCosmos.open(None, CONTAINERS)) as cosmos:
        async with running(cosmos, ModelAt("http://127.0.0.1:9/v1"), **settings) as app:
            yield await app.composition.services()


@contextlib.asynccontextmanager
async def _embedder(source: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the settings of the embedding model; run the bundled one if it is chosen."""
    settings: dict[str, Any] = {"summariser": "extractive"}
    if source == "none":
        settings |= {"embedding_model": "", "embedding_base_url": None, "embedding_api_key": None}
    if source != "minilm":
        yield settings
        return
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "embedder.log"
        async with child(*EMBEDDER, log=log) as process:
            address = await first_line(process, log)
            model = {"embedding_model": embedder.MODEL_NAME, "embedding_api_key": "none"}
            yield settings | model | {"embedding_base_url": address}


async def _measure(
    services: Services,
    searcher: Searcher,
    dialogue: Dialogue,
    budgets: Sequence[int],
    results: Results,
) -> None:
    """Store a dialogue, search for its questions in every variant, and add to the results."""
    user = UserId(dialogue.name)
    header, places = await _store(services, searcher.stores, user, dialogue)
    turns, questions = len(set(places.values())), len(dialogue.questions)
    print(f"{dialogue.name}: {turns} turns, {questions} questions", flush=True)
    variants = [variant for variant in VARIANTS if variant.name in results.scores]
    for question in dialogue.questions:
        for variant in variants:
            lookup = await searcher.search(user, header, question.text, variant)
            results.lookups[variant.name].append(lookup)
            results.scores[variant.name].append(score_lookup(lookup, question, places, budgets))
    unrelated = [await searcher.search(user, header, text, variants[-1]) for text in UNRELATED]
    print_unrelated(unrelated, max(budgets))


async def _store(
    services: Services, stores: Stores, user: UserId, dialogue: Dialogue
) -> tuple[Header, Mapping[str, Place]]:
    """Record and consolidate a dialogue; return its last header and the turn of each utterance."""
    places: dict[str, Place] = {}
    header = None
    for session in dialogue.sessions:
        places |= await _record(services, user, session)
        name = _session_id(session)
        await services.consolidation.run(ConsolidationJob(user, name))
        header = await stores.sessions.read_header(user, name)
        assert header
        model = services.clients.embeddings
        assert not model or not await stores.vectors.find_unembedded(
            user, header, model.model, 0
        ), "vectors are missing"
    assert header, "the dialogue has no sessions"
    return header, places


async def _record(services: Services, user: UserId, session: Session) -> dict[str, Place]:
    """Record the turns of a session; return the turn of each utterance."""
    name = _session_id(session)
    places: dict[str, Place] = {}
    for number, turn in enumerate(session.turns, 1):
        turn_id = f"turn-{number}"
        messages = [
            Message(role=role, name=message.speaker, content=message.text, at=session.at)
            for role, message in zip(("user", "assistant"), turn, strict=False)
        ]
        request = RecordRequest(
            user=user, session=name, turn_id=TurnId(turn_id), body={}, recorded=messages
        )
        await services.chat.record(request)
        for message in turn:
            places |= dict.fromkeys(message.utterances, (name.value, turn_id))
    return places


def _session_id(session: Session) -> SessionId:
    return SessionId(f"session-{session.number}")


if __name__ == "__main__":
    sys.exit(main())
