"""How much of what answers a question is recalled: `python -m bench.recall --data locomo10.json`.

Long dialogues of two people are stored by the product and get their vectors by consolidation, then every question is
searched for: by words, by meaning, by both, and by both without their neighbours. A question's share of its evidence
that is told within a budget of tokens is what counts. All parts are real, the local Cosmos DB and a small embedder too.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.dialogues import CATEGORIES, OURS, WHERE, Dialogue, Question, Session, read_dialogues
from bench.lookups import SMALL_TALK, WAYS, Looked, Lookups, Remembering
from cosmos_local import LocalCosmos
from local import embedder
from local.children import child, first_line
from local.models import EMBEDDER
from shared.adapters.system_clock import SystemClock
from shared.composition import Services
from shared.domain.ids import SessionId, TurnId, UserId
from shared.domain.turns import Header, Message
from shared.ports.jobs import ConsolidationJob
from shared.services.openings import Asked
from shared.stores import Stores, make_stores
from tests.support.app import ModelAt, running

CONTAINERS = Path(__file__).parent.parent / "infra" / "containers.json"
BUDGETS = (500, 1000, 2000)
ADVERSARIAL = 5  # asked about what was never said, so that there is nothing to find
RANKS = 10
Place = tuple[str, str]  # a session's id and a turn's


@dataclass(frozen=True, slots=True)
class Score:
    """What one question got: shares of its evidence, tokens, and the reciprocal rank of the first of it."""

    category: int
    told: Mapping[int, float]
    tokens: Mapping[int, int]
    among_first: float
    reciprocal: float


def main() -> int:
    """Measure and print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a file of dialogues like LoCoMo's")
    parser.add_argument("--conversations", type=int, help="only the first so many (default: all)")
    parser.add_argument(
        "--budgets", type=int, nargs="+", default=BUDGETS, help="tokens (default: %(default)s)"
    )
    sources = ("minilm", "environment", "none")
    parser.add_argument(
        "--embeddings",
        choices=sources,
        default="minilm",
        help="environment: EMBEDDING_* with an address",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tiny dialogue of our own: does it work?"
    )
    given = parser.parse_args()
    if not given.quick and not (given.data and given.data.is_file()):
        print(f"--data needs a file. {WHERE}", file=sys.stderr)
        return 1
    dialogues = (OURS,) if given.quick else read_dialogues(given.data)[: given.conversations]
    asyncio.run(_run(dialogues, given.budgets, given.embeddings))
    return 0


async def _run(dialogues: Sequence[Dialogue], budgets: Sequence[int], embeddings: str) -> None:
    cosmos = LocalCosmos.open(None, CONTAINERS)
    async with (
        _embedder(embeddings) as settings,
        running(cosmos, ModelAt("http://127.0.0.1:9/v1"), **settings) as app,
    ):
        services = await app.composition.services()
        model = services.clients.embeddings
        lookups = Lookups(
            make_stores(services.clients, SystemClock()), Remembering(model) if model else None
        )
        ways = [way for way in WAYS if model or not way.by_meaning]
        scores: dict[str, list[Score]] = {way.name: [] for way in ways}
        looked: dict[str, list[Looked]] = {way.name: [] for way in ways}
        for dialogue in dialogues:
            user = UserId(dialogue.name)
            header, places = await _store(services, lookups.stores, user, dialogue)
            print(
                f"{dialogue.name}: {len(set(places.values()))} turns, {len(dialogue.questions)} questions",
                flush=True,
            )
            for question in dialogue.questions:
                for way in ways:
                    seen = await lookups.look(user, header, question.text, way)
                    looked[way.name].append(seen)
                    scores[way.name].append(_score(seen, question, places, budgets))
            _print_small_talk(
                [await lookups.look(user, header, text, ways[-1]) for text in SMALL_TALK],
                max(budgets),
            )
    cosmos.close()
    _print_scores(scores, budgets)
    _print_categories(scores[ways[-1].name], budgets)
    _print_times(looked)


@contextlib.asynccontextmanager
async def _embedder(which: str) -> AsyncIterator[dict[str, Any]]:
    """Settings of the embedding model, and the model, if it is ours."""
    settings: dict[str, Any] = {"summariser": "extractive"}
    if which == "none":
        settings |= {"embedding_model": "", "embedding_base_url": None, "embedding_api_key": None}
    if which != "minilm":
        yield settings
        return
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "embedder.log"
        async with child(*EMBEDDER, log=log) as process:
            address = await first_line(process, log)
            model = {"embedding_model": embedder.MODEL_NAME, "embedding_api_key": "none"}
            yield settings | model | {"embedding_base_url": address}


async def _store(
    services: Services, stores: Stores, user: UserId, dialogue: Dialogue
) -> tuple[Header, Mapping[str, Place]]:
    """Record and consolidate a dialogue; the header of its last session, and the turn of each utterance."""
    places: dict[str, Place] = {}
    header = None
    for session in dialogue.sessions:
        name = SessionId(f"session-{session.number}")
        for turn_id, turn in _turns(session).items():
            asked = Asked(name, TurnId(turn_id), "hash", 60)
            messages = [
                Message(role=role, name=said.speaker, content=said.text, at=session.at)
                for role, said in zip(("user", "assistant"), turn, strict=False)
            ]
            await services.conversation.record(user, asked, messages)
            places |= {
                utterance: (name.value, turn_id) for said in turn for utterance in said.utterances
            }
        await services.consolidation.run(ConsolidationJob(user, name))
        header = await stores.sessions.read_header(user, name)
        assert header
        model = services.clients.embeddings
        assert not model or not await stores.vectors.find_unembedded(
            user, header, model.model, 0
        ), "vectors are missing"
    assert header, "there is nothing to store"
    return header, places


def _turns(session: Session) -> dict[str, Any]:
    return {f"turn-{number}": turn for number, turn in enumerate(session.turns, 1)}


def _score(
    looked: Looked, question: Question, places: Mapping[str, Place], budgets: Sequence[int]
) -> Score:
    gold = [places[utterance] for utterance in question.evidence]
    told, tokens = {}, {}
    for budget in budgets:
        found, tokens[budget] = looked.within(budget)
        told[budget] = sum(place in found for place in gold) / len(gold)
    first = next((rank for rank, place in enumerate(looked.ranked, 1) if place in gold), 0)
    among = len(set(gold) & set(looked.ranked[:RANKS])) / len(set(gold))
    return Score(question.category, told, tokens, among, 1 / first if first else 0.0)


def _print_small_talk(looked: Sequence[Looked], budget: int) -> None:
    tokens = [one.within(budget)[1] for one in looked]
    without = sum(not count for count in tokens)
    print(
        f"  {len(tokens)} messages about nothing in it: {statistics.mean(tokens):.0f} tokens of {budget} on average, "
        f"median {statistics.median(tokens):.0f}; {without} recall nothing",
        flush=True,
    )


def _print_scores(scores: Mapping[str, Sequence[Score]], budgets: Sequence[int]) -> None:
    answered = {
        way: [one for one in all_of if one.category != ADVERSARIAL]
        for way, all_of in scores.items()
    }
    print(
        f"\nevidence told within so many tokens, %; {len(next(iter(answered.values())))} questions of categories 1 to 4"
    )
    print(f"{'':32}{_heads(budgets)}{'recall@10':>11}{'MRR':>8}   tokens used, median")
    for way, rows in answered.items():
        _print_row(way, rows, budgets)
    everything = {way: _shares(all_of, budgets) for way, all_of in scores.items()}
    print("with category 5:")
    for way, shares in everything.items():
        print(f"{way:32}" + "".join(f"{share:8.1f}" for share in shares))


def _print_categories(scores: Sequence[Score], budgets: Sequence[int]) -> None:
    print(
        f"\n{'by both, per category':32}{_heads(budgets)}{'recall@10':>11}{'MRR':>8}   tokens used, median"
    )
    for category, name in CATEGORIES.items():
        rows = [one for one in scores if one.category == category]
        if rows:
            _print_row(f"{category} {name} ({len(rows)})", rows, budgets)


def _print_row(name: str, rows: Sequence[Score], budgets: Sequence[int]) -> None:
    shares = "".join(f"{share:8.1f}" for share in _shares(rows, budgets))
    used = " ".join(
        f"{statistics.median(one.tokens[budget] for one in rows):,.0f}" for budget in budgets
    )
    among, rank = (
        _percent([one.among_first for one in rows]),
        statistics.mean(one.reciprocal for one in rows),
    )
    print(f"{name:32}{shares}{among:11.1f}{rank:8.3f}   {used}")


def _print_times(looked: Mapping[str, Sequence[Looked]]) -> None:
    print("\nmilliseconds of a search, medians; requests to Cosmos DB and of them failed or late")
    parts = ("embedding", "words", "meaning", "around")
    print(
        f"{'':32}" + "".join(f"{part:>10}" for part in parts) + f"{'requests':>10}{'degraded':>10}"
    )
    for way, rows in looked.items():
        times = [[one.times[part] for one in rows if part in one.times] for part in parts]
        medians = "".join(
            f"{statistics.median(column):10.1f}" if column else f"{'':10}" for column in times
        )
        requests = statistics.median(one.requests for one in rows)
        print(f"{way:32}{medians}{requests:10.0f}{sum(one.degraded for one in rows):10}")


def _heads(budgets: Sequence[int]) -> str:
    return "".join(f"{budget:>8,}" for budget in budgets)


def _shares(rows: Sequence[Score], budgets: Sequence[int]) -> list[float]:
    return [_percent([one.told[budget] for one in rows]) for budget in budgets]


def _percent(shares: Sequence[float]) -> float:
    return 100 * statistics.mean(shares)


if __name__ == "__main__":
    sys.exit(main())
