"""Passages: what was found and what stands around it, as much as fits."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import Gen
from shared.domain.recall.excerpts import NEIGHBOURS, Excerpt, fit_excerpts, surround
from shared.domain.recall.ranking import FoundTurn, Place, Ranked, best_first
from shared.domain.tokens import estimate_tokens
from tests.support.build import a_found

GENS = [Gen(digit * 32) for digit in "abc"]
PLACES = st.tuples(st.sampled_from(GENS), st.integers(1, 12))
TEXTS = st.text("ab é字\n", max_size=60)
TURNS = st.lists(
    st.builds(lambda place, text: a_found(place[1], gen=place[0], text=text), PLACES, TEXTS),
    max_size=30,
)


@st.composite
def candidates(draw: st.DrawFn) -> tuple[Ranked, ...]:
    """Hits with their ranks, and turns around them, as a search has them."""
    unique = list({turn.place: turn for turn in draw(TURNS)}.values())
    cut = draw(st.integers(0, len(unique)))
    hits = [Ranked(turn, words_rank=rank) for rank, turn in enumerate(unique[:cut], 1)]
    return surround(hits, unique[cut:])


def told(passages: Sequence[Excerpt]) -> list[FoundTurn]:
    """All turns of them."""
    return [turn for passage in passages for turn in passage.turns]


def beside(place: Place) -> set[Place]:
    """The places next to one."""
    return {(place[0], place[1] + step) for step in range(-NEIGHBOURS, NEIGHBOURS + 1)} - {place}


@given(TURNS, TURNS)
def test_what_stands_around_is_next_to_a_hit_of_its_session(
    hits: list[FoundTurn], around: list[FoundTurn]
) -> None:
    """Of the others nothing is taken, each turn comes once, and every hit stays what it was."""
    found = {turn.place: Ranked(turn, words_rank=rank) for rank, turn in enumerate(hits, 1)}
    ranked = surround(found.values(), around)
    places = [one.turn.place for one in ranked]
    assert len(set(places)) == len(places)
    assert {one.turn.place: one.words_rank for one in ranked if one.is_hit} == {
        place: hit.words_rank for place, hit in found.items()
    }
    assert all(one.is_hit or beside(one.turn.place) & found.keys() for one in ranked)
    assert list(ranked) == list(best_first(ranked))


@given(candidates())
def test_no_turn_comes_before_the_hit_it_stands_beside(ranked: tuple[Ranked, ...]) -> None:
    """The hit is what the question is about."""
    places = {one.turn.place: number for number, one in enumerate(ranked)}
    hits = {one.turn.place for one in ranked if one.is_hit}
    assert all(
        min(places[place] for place in beside(one.turn.place) & hits) < places[one.turn.place]
        for one in ranked
        if not one.is_hit
    )


@given(candidates(), st.integers(0, 200))
def test_the_budget_is_never_exceeded(ranked: tuple[Ranked, ...], tokens: int) -> None:
    """Whatever the texts, as tokens are estimated."""
    passages = fit_excerpts(ranked, tokens, estimate_tokens)
    assert sum(estimate_tokens(passage.text) for passage in passages) <= tokens


@given(candidates(), st.integers(0, 200))
def test_each_turn_is_told_once_in_the_order_it_was_said(
    ranked: tuple[Ranked, ...], tokens: int
) -> None:
    """A passage is a run of one session without a gap, and passages are in the order of their beginnings."""
    passages = fit_excerpts(ranked, tokens, estimate_tokens)
    assert len({turn.place for turn in told(passages)}) == len(told(passages))
    for passage in passages:
        assert {turn.gen for turn in passage.turns} == {passage.hit.turn.gen}
        assert all(after.seq - before.seq == 1 for before, after in pairwise(passage.turns))
    begins = [passage.turns[0].created_at for passage in passages]
    assert begins == sorted(begins)


@given(candidates(), st.integers(0, 200))
def test_every_passage_has_a_hit_and_every_turn_one_beside_it(
    ranked: tuple[Ranked, ...], tokens: int
) -> None:
    """What stands around is told for the sake of what was found, never alone; the best hit stands for all."""
    hits = {one.turn.place: one for one in ranked if one.is_hit}
    for passage in fit_excerpts(ranked, tokens, estimate_tokens):
        places = {turn.place for turn in passage.turns}
        assert passage.hit == best_first(hits[place] for place in places & hits.keys())[0]
        assert all(place in hits or beside(place) & places & hits.keys() for place in places)


@given(candidates())
def test_with_room_for_all_everything_is_told(ranked: tuple[Ranked, ...]) -> None:
    """Only the budget leaves anything out."""
    passages = fit_excerpts(ranked, 1_000_000, estimate_tokens)
    assert {turn.place for turn in told(passages)} == {one.turn.place for one in ranked}


@given(candidates(), st.integers(0, 200))
def test_of_hits_only_those_are_left_out_that_do_not_fit(
    ranked: tuple[Ranked, ...], tokens: int
) -> None:
    """One that is too long does not keep the next from being told."""
    there = {turn.place for turn in told(fit_excerpts(ranked, tokens, estimate_tokens))}
    cost = {one.turn.place: estimate_tokens(f"\n{one.turn.text}\n") for one in ranked}  # at most
    left = tokens - sum(cost[place] for place in there)
    assert all(
        cost[one.turn.place] > left for one in ranked if one.is_hit and one.turn.place not in there
    )


def test_a_turn_between_two_hits_counts_for_both() -> None:
    """It comes before what stands beside one of them only."""
    hits = [Ranked(a_found(1), words_rank=2), Ranked(a_found(3), words_rank=1)]
    around = [a_found(0), a_found(2), a_found(4)]
    assert [one.turn.seq for one in surround(hits, around)] == [3, 2, 1, 4, 0]


def test_hits_in_a_row_lift_each_other() -> None:
    """Two that stand together are likelier what the question is about than a slightly better one alone."""
    hits = [
        Ranked(a_found(9), words_rank=1),
        Ranked(a_found(3), words_rank=2),
        Ranked(a_found(4), words_rank=3),
    ]
    assert [one.turn.seq for one in surround(hits, ())] == [3, 9, 4]


def test_a_hit_that_does_not_fit_leaves_its_neighbours_untold() -> None:
    """An answer to what is not told would be a riddle."""
    ranked = surround([Ranked(a_found(2, text="x" * 400), words_rank=1)], [a_found(1), a_found(3)])
    assert fit_excerpts(ranked, 50, estimate_tokens) == ()


def test_one_passage_tells_of_turns_that_touch() -> None:
    """What was said in one go is read in one go."""
    hits = [
        Ranked(a_found(2), words_rank=1),
        Ranked(a_found(5), words_rank=2),
        Ranked(a_found(9), words_rank=3),
    ]
    around = [a_found(seq) for seq in (1, 3, 4, 6)]
    passages = fit_excerpts(surround(hits, around), 1000, estimate_tokens)
    assert [[turn.seq for turn in passage.turns] for passage in passages] == [
        [1, 2, 3, 4, 5, 6],
        [9],
    ]
    assert [passage.hit.turn.seq for passage in passages] == [2, 9]
    assert passages[1].text == "turn 9"


def test_a_turn_may_take_the_whole_budget() -> None:
    """The longest that is told of a turn is just what recall always has."""
    ranked = surround([Ranked(a_found(2, text="x" * 2000), words_rank=1)], [a_found(1), a_found(3)])
    assert [turn.seq for turn in told(fit_excerpts(ranked, 500, estimate_tokens))] == [2]
