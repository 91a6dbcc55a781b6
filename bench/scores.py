"""The scores of bench.recall, and its tables."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.dialogues import CATEGORIES, Question
from bench.lookups import Lookup

ADVERSARIAL = 5  # asks about something that was never said, so there is nothing to find
TOP = 10
Place = tuple[str, str]  # session id, turn id


@dataclass(frozen=True, slots=True)
class Score:
    """A question's score: the evidence included and tokens used, by budget, and its ranks."""

    category: int
    included: Mapping[int, float]
    tokens: Mapping[int, int]
    in_top: float
    reciprocal_rank: float


def score_lookup(
    lookup: Lookup, question: Question, places: Mapping[str, Place], budgets: Sequence[int]
) -> Score:
    """Score a lookup by the evidence for its question."""
    evidence = [places[utterance] for utterance in question.evidence]
    included, tokens = {}, {}
    for budget in budgets:
        found, tokens[budget] = lookup.within(budget)
        included[budget] = sum(place in found for place in evidence) / len(evidence)
    first = next((rank for rank, place in enumerate(lookup.ranked, 1) if place in evidence), 0)
    in_top = len(set(evidence) & set(lookup.ranked[:TOP])) / len(set(evidence))
    return Score(question.category, included, tokens, in_top, 1 / first if first else 0.0)


def print_unrelated(lookups: Sequence[Lookup], budget: int) -> None:
    """Print how much is recalled for messages unrelated to the dialogue."""
    tokens = [lookup.within(budget)[1] for lookup in lookups]
    nothing = sum(not count for count in tokens)
    print(
        f"  {len(tokens)} unrelated messages: {statistics.mean(tokens):.0f} tokens of {budget} "
        f"on average, median {statistics.median(tokens):.0f}; {nothing} recall nothing",
        flush=True,
    )


def print_scores(scores: Mapping[str, Sequence[Score]], budgets: Sequence[int]) -> None:
    """Print the scores of each variant, without and with adversarial questions."""
    answerable = {
        name: [score for score in rows if score.category != ADVERSARIAL]
        for name, rows in scores.items()
    }
    count = len(next(iter(answerable.values())))
    print(
        f"\nevidence included within a budget of tokens, %; {count} questions of categories 1 to 4"
    )
    print(_heading("", budgets))
    for name, rows in answerable.items():
        _print_row(name, rows, budgets)
    print("with category 5:")
    for name, all_rows in scores.items():
        print(f"{name:32}" + "".join(f"{share:8.1f}" for share in _shares(all_rows, budgets)))


def print_categories(scores: Sequence[Score], budgets: Sequence[int]) -> None:
    """Print the scores of one variant by category of question."""
    print(f"\n{_heading('by both, per category', budgets)}")
    for category, name in CATEGORIES.items():
        rows = [score for score in scores if score.category == category]
        if rows:
            _print_row(f"{category} {name} ({len(rows)})", rows, budgets)


def _heading(title: str, budgets: Sequence[int]) -> str:
    columns = "".join(f"{budget:>8,}" for budget in budgets)
    return f"{title:32}{columns}{'recall@10':>11}{'MRR':>8}   tokens used, median"


def _print_row(name: str, rows: Sequence[Score], budgets: Sequence[int]) -> None:
    shares = "".join(f"{share:8.1f}" for share in _shares(rows, budgets))
    used = [statistics.median(score.tokens[budget] for score in rows) for budget in budgets]
    in_top = _percent([score.in_top for score in rows])
    rank = statistics.mean(score.reciprocal_rank for score in rows)
    tokens = " ".join(f"{count:,.0f}" for count in used)
    print(f"{name:32}{shares}{in_top:11.1f}{rank:8.3f}   {tokens}")


def print_times(lookups: Mapping[str, Sequence[Lookup]]) -> None:
    """Print the times, requests and degraded searches of each variant."""
    print("\nmilliseconds of a search, medians; requests to Cosmos DB; degraded searches")
    parts = ("embedding", "keywords", "meaning", "neighbours")
    headings = "".join(f"{part:>12}" for part in parts)
    print(f"{'':32}{headings}{'requests':>10}{'degraded':>10}")
    for name, rows in lookups.items():
        times = [[row.times[part] for row in rows if part in row.times] for part in parts]
        medians = "".join(
            f"{statistics.median(column):12.1f}" if column else f"{'':12}" for column in times
        )
        requests = statistics.median(row.requests for row in rows)
        print(f"{name:32}{medians}{requests:10.0f}{sum(row.degraded for row in rows):10}")


def _shares(rows: Sequence[Score], budgets: Sequence[int]) -> list[float]:
    return [_percent([score.included[budget] for score in rows]) for budget in budgets]


def _percent(shares: Sequence[float]) -> float:
    return 100 * statistics.mean(shares)
