"""Ranking: the results of two searches in one order."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.recall.ranking import (
    MAX_CHANCE_HITS,
    MIN_SIMILARITY,
    FoundTurn,
    Ranked,
    best_first,
    rank,
)
from tests.support.build import NOON, a_found

LISTS = st.lists(st.integers(1, 30), unique=True, max_size=12)
SIMILARITIES = st.lists(st.floats(-1, 1), min_size=12, max_size=12).map(
    lambda values: sorted(values, reverse=True)
)


def by_keywords(seqs: Sequence[int]) -> list[FoundTurn]:
    """The result of a search by keywords, of turns with vectors."""
    return [a_found(seq, embedding_model="m") for seq in seqs]


def by_meaning(seqs: Sequence[int], similarities: Sequence[float] = (0.9,) * 30) -> list[FoundTurn]:
    """The result of a search by meaning."""
    return [
        a_found(seq, embedding_model="m", similarity=similarity)
        for seq, similarity in zip(seqs, similarities, strict=False)
    ]


def order(ranked: Sequence[Ranked]) -> list[int]:
    """The seqs, best first."""
    return [one.turn.seq for one in ranked]


@given(LISTS, LISTS, SIMILARITIES)
def test_each_turn_is_ranked_once_best_first(
    keywords: list[int], meaning: list[int], similarities: list[float]
) -> None:
    """A turn on both lists has both ranks, and every turn was found."""
    ranked = rank(by_keywords(keywords), by_meaning(meaning, similarities))
    assert len(set(order(ranked))) == len(ranked)
    assert set(order(ranked)) <= set(keywords) | set(meaning)
    assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)
    assert all(one.is_hit and one.score == one.own_score > 0 for one in ranked)


@given(LISTS, LISTS, SIMILARITIES)
def test_dissimilar_turns_are_not_found_by_meaning(
    keywords: list[int], meaning: list[int], similarities: list[float]
) -> None:
    """Below the threshold, a turn is a hit by keywords or not at all."""
    ranked = rank(by_keywords(keywords), by_meaning(meaning, similarities))
    similar = {
        seq
        for seq, similarity in zip(meaning, similarities, strict=False)
        if similarity >= MIN_SIMILARITY
    }
    assert {one.turn.seq for one in ranked if one.meaning_rank} == similar


@given(LISTS)
def test_a_single_list_keeps_its_order(seqs: list[int]) -> None:
    """With only one list, its order is kept."""
    assert order(rank(by_keywords(seqs), ())) == seqs
    assert order(rank((), by_meaning(seqs))) == seqs


@given(LISTS, LISTS)
def test_the_first_of_both_lists_is_the_best(keywords: list[int], meaning: list[int]) -> None:
    """The first of both lists is the best."""
    assert order(rank(by_keywords([99, *keywords]), by_meaning([99, *meaning])))[0] == 99


@given(LISTS.filter(bool), LISTS.filter(bool))
def test_keyword_hits_without_similarity_are_chance_hits(
    keywords: list[int], meaning: list[int]
) -> None:
    """Only the best keyword hit stays, because numbers and names have little meaning to a model."""
    ranked = rank(by_keywords(keywords), by_meaning(meaning, [MIN_SIMILARITY - 0.01] * 30))
    assert order(ranked) == keywords[:MAX_CHANCE_HITS]


@given(LISTS.filter(bool), LISTS.filter(bool), st.sampled_from([None, "old"]))
def test_turns_without_comparable_vectors_are_not_chance_hits(
    keywords: list[int], meaning: list[int], model: str | None
) -> None:
    """Turns without a vector or with another model's are found by keywords as usual."""
    found = [a_found(seq, embedding_model=model) for seq in keywords]
    assert order(rank(found, by_meaning(meaning, [0.0] * 30))) == keywords


def test_keywords_weigh_more_than_meaning() -> None:
    """The best by keywords precedes the best by meaning; a hit of both precedes either."""
    assert order(rank(by_keywords([1, 2, 3]), by_meaning([4, 2, 5])))[:2] == [2, 1]
    assert order(rank(by_keywords([1]), by_meaning([2]))) == [1, 2]


@given(st.permutations(range(1, 6)))
def test_equal_scores_are_ordered_by_age(seqs: list[int]) -> None:
    """Of equal scores the newer turn comes first, and hits come before neighbours."""
    found = [Ranked(a_found(seq, gen=a_found().gen), keyword_rank=1) for seq in seqs]
    assert order(best_first(found)) == [5, 4, 3, 2, 1]
    neighbour = Ranked(a_found(9), neighbour_score=2 * found[0].own_score)
    assert order(best_first([neighbour, *found]))[-1] == 9


@pytest.mark.parametrize(
    ("ranked", "why"),
    [
        (Ranked(a_found(), keyword_rank=2), "found by keywords (rank 2)"),
        (Ranked(a_found(), meaning_rank=1), "found by meaning (rank 1)"),
        (Ranked(a_found(), 3, 4), "found by keywords (rank 3), meaning (rank 4)"),
    ],
)
def test_a_hit_has_a_reason(ranked: Ranked, why: str) -> None:
    """The reason names the searches and the ranks."""
    assert ranked.why == why


def test_a_turn_on_both_lists_keeps_its_similarity() -> None:
    """The similarity is reported, even if keywords found the turn first."""
    (one,) = rank(by_keywords([1]), by_meaning([1], [0.5]))
    assert one.turn.similarity == 0.5


def test_turns_of_two_sessions_are_distinct() -> None:
    """Turns of different generations are different turns."""
    other = replace(
        a_found(1), gen=type(a_found().gen)("1" * 32), created_at=NOON - timedelta(days=1)
    )
    assert len(rank([a_found(1), other], ())) == 2
