"""Ranking: what two searches found, in one order."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.recall.ranking import (
    MAX_BY_CHANCE,
    MIN_SIMILARITY,
    FoundTurn,
    Ranked,
    best_first,
    rank,
)
from tests.support.build import NOON, a_found

LISTS = st.lists(st.integers(1, 30), unique=True, max_size=12)
SIMILARITIES = st.lists(st.floats(-1, 1), min_size=12, max_size=12).map(
    lambda them: sorted(them, reverse=True)
)


def by_words(seqs: Sequence[int]) -> list[FoundTurn]:
    """What a search by words gives: turns that have their vectors."""
    return [a_found(seq, embedding_model="m") for seq in seqs]


def by_meaning(seqs: Sequence[int], similarities: Sequence[float] = (0.9,) * 30) -> list[FoundTurn]:
    """What a search by meaning gives."""
    return [
        a_found(seq, embedding_model="m", similarity=similarity)
        for seq, similarity in zip(seqs, similarities, strict=False)
    ]


def order(ranked: Sequence[Ranked]) -> list[int]:
    """The turns, best first."""
    return [one.turn.seq for one in ranked]


@given(LISTS, LISTS, SIMILARITIES)
def test_each_turn_is_there_once_best_first(
    words: list[int], meaning: list[int], similarities: list[float]
) -> None:
    """What is on both lists has both ranks; nothing is there that was not found."""
    ranked = rank(by_words(words), by_meaning(meaning, similarities))
    assert len(set(order(ranked))) == len(ranked)
    assert set(order(ranked)) <= set(words) | set(meaning)
    assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)
    assert all(one.is_hit and one.score == one.own > 0 for one in ranked)


@given(LISTS, LISTS, SIMILARITIES)
def test_what_is_unlike_is_not_found_by_meaning(
    words: list[int], meaning: list[int], like: list[float]
) -> None:
    """Below the threshold a turn is found by its words or not at all."""
    ranked = rank(by_words(words), by_meaning(meaning, like))
    similar = {
        seq for seq, similarity in zip(meaning, like, strict=False) if similarity >= MIN_SIMILARITY
    }
    assert {one.turn.seq for one in ranked if one.meaning_rank} == similar


@given(LISTS)
def test_one_list_alone_keeps_its_order(seqs: list[int]) -> None:
    """Where the other search found nothing, or was not made."""
    assert order(rank(by_words(seqs), ())) == seqs
    assert order(rank((), by_meaning(seqs))) == seqs


@given(LISTS, LISTS)
def test_a_second_list_never_harms_a_turn_that_is_on_it_first(
    words: list[int], meaning: list[int]
) -> None:
    """The best of both lists is the best."""
    assert order(rank(by_words([99, *words]), by_meaning([99, *meaning])))[0] == 99


@given(LISTS.filter(bool), LISTS.filter(bool))
def test_where_nothing_means_the_like_words_are_chance(
    words: list[int], meaning: list[int]
) -> None:
    """The best of them stays, since a number or a name means nothing to a model."""
    ranked = rank(by_words(words), by_meaning(meaning, [MIN_SIMILARITY - 0.01] * 30))
    assert order(ranked) == words[:MAX_BY_CHANCE]


@given(LISTS.filter(bool), LISTS.filter(bool), st.sampled_from([None, "of yesterday"]))
def test_what_could_not_be_compared_is_not_by_chance(
    words: list[int], meaning: list[int], model: str | None
) -> None:
    """Turns that wait for their vector, and those of before a change of model, are found by their words as ever."""
    found = [a_found(seq, embedding_model=model) for seq in words]
    assert order(rank(found, by_meaning(meaning, [0.0] * 30))) == words


def test_words_count_more_than_meaning() -> None:
    """The best by words comes before the best by meaning, and what both found before either."""
    assert order(rank(by_words([1, 2, 3]), by_meaning([4, 2, 5])))[:2] == [2, 1]
    assert order(rank(by_words([1]), by_meaning([2]))) == [1, 2]


@given(st.permutations(range(1, 6)))
def test_the_order_of_equals_is_by_age(seqs: list[int]) -> None:
    """The newer first, in whatever order they come; what was found before what only stands there."""
    found = [Ranked(a_found(seq, gen=a_found().gen), words_rank=1) for seq in seqs]
    assert order(best_first(found)) == [5, 4, 3, 2, 1]
    beside = Ranked(a_found(9), nearby=2 * found[0].own)
    assert order(best_first([beside, *found]))[-1] == 9


@pytest.mark.parametrize(
    ("ranked", "why"),
    [
        (Ranked(a_found(), words_rank=2), "found by words (rank 2)"),
        (Ranked(a_found(), meaning_rank=1), "found by meaning (rank 1)"),
        (Ranked(a_found(), 3, 4), "found by words (rank 3), meaning (rank 4)"),
    ],
)
def test_a_hit_says_how_it_was_found(ranked: Ranked, why: str) -> None:
    """For people who wonder."""
    assert ranked.why == why


def test_the_similarity_of_a_turn_on_both_lists_is_kept() -> None:
    """The answer tells it, also where words found the turn first."""
    (one,) = rank(by_words([1]), by_meaning([1], [0.5]))
    assert one.turn.similarity == 0.5


def test_turns_of_two_sessions_are_two() -> None:
    """Places are of a session's incarnation: the first turn of one is not that of another."""
    other = replace(
        a_found(1), gen=type(a_found().gen)("1" * 32), created_at=NOON - timedelta(days=1)
    )
    assert len(rank([a_found(1), other], ())) == 2
