"""Excerpts: hits and their neighbours, as far as they fit."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import Gen
from shared.domain.recall.excerpts import NEIGHBOURS, Excerpt, add_neighbours, fit_excerpts
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
    """Hits with their ranks and neighbouring turns, as a search returns them."""
    unique = list({turn.place: turn for turn in draw(TURNS)}.values())
    cut = draw(st.integers(0, len(unique)))
    hits = [Ranked(turn, keyword_rank=rank) for rank, turn in enumerate(unique[:cut], 1)]
    return add_neighbours(hits, unique[cut:])


def turns_of(excerpts: Sequence[Excerpt]) -> list[FoundTurn]:
    """All turns of the excerpts."""
    return [turn for excerpt in excerpts for turn in excerpt.turns]


def neighbours_of(place: Place) -> set[Place]:
    """The places next to one."""
    return {(place[0], place[1] + step) for step in range(-NEIGHBOURS, NEIGHBOURS + 1)} - {place}


@given(TURNS, TURNS)
def test_neighbours_are_next_to_a_hit_of_their_session(
    hits: list[FoundTurn], around: list[FoundTurn]
) -> None:
    """Only neighbours are added, each turn once, and every hit keeps its rank."""
    found = {turn.place: Ranked(turn, keyword_rank=rank) for rank, turn in enumerate(hits, 1)}
    ranked = add_neighbours(found.values(), around)
    places = [one.turn.place for one in ranked]
    assert len(set(places)) == len(places)
    assert {one.turn.place: one.keyword_rank for one in ranked if one.is_hit} == {
        place: hit.keyword_rank for place, hit in found.items()
    }
    assert all(one.is_hit or neighbours_of(one.turn.place) & found.keys() for one in ranked)
    assert list(ranked) == list(best_first(ranked))


@given(candidates())
def test_no_neighbour_comes_before_its_hit(ranked: tuple[Ranked, ...]) -> None:
    """A hit comes before its neighbours, because it is what the question is about."""
    places = {one.turn.place: number for number, one in enumerate(ranked)}
    hits = {one.turn.place for one in ranked if one.is_hit}
    assert all(
        min(places[place] for place in neighbours_of(one.turn.place) & hits)
        < places[one.turn.place]
        for one in ranked
        if not one.is_hit
    )


@given(candidates(), st.integers(0, 200))
def test_the_budget_is_never_exceeded(ranked: tuple[Ranked, ...], tokens: int) -> None:
    """Excerpts fit the budget, whatever their texts, as tokens are estimated."""
    excerpts = fit_excerpts(ranked, tokens, estimate_tokens)
    assert sum(estimate_tokens(excerpt.text) for excerpt in excerpts) <= tokens


@given(candidates(), st.integers(0, 200))
def test_each_turn_is_in_one_excerpt_in_order(ranked: tuple[Ranked, ...], tokens: int) -> None:
    """An excerpt is a gapless run of one session, and excerpts are ordered by their first turn."""
    excerpts = fit_excerpts(ranked, tokens, estimate_tokens)
    assert len({turn.place for turn in turns_of(excerpts)}) == len(turns_of(excerpts))
    for excerpt in excerpts:
        assert {turn.gen for turn in excerpt.turns} == {excerpt.hit.turn.gen}
        assert all(after.seq - before.seq == 1 for before, after in pairwise(excerpt.turns))
    starts = [excerpt.turns[0].created_at for excerpt in excerpts]
    assert starts == sorted(starts)


@given(candidates(), st.integers(0, 200))
def test_every_excerpt_has_a_hit_and_every_neighbour_its_hit(
    ranked: tuple[Ranked, ...], tokens: int
) -> None:
    """Neighbours are never included without their hit; the best hit identifies an excerpt."""
    hits = {one.turn.place: one for one in ranked if one.is_hit}
    for excerpt in fit_excerpts(ranked, tokens, estimate_tokens):
        places = {turn.place for turn in excerpt.turns}
        assert excerpt.hit == best_first(hits[place] for place in places & hits.keys())[0]
        assert all(place in hits or neighbours_of(place) & places & hits.keys() for place in places)


@given(candidates())
def test_with_enough_budget_everything_is_included(ranked: tuple[Ranked, ...]) -> None:
    """Only the budget leaves anything out."""
    excerpts = fit_excerpts(ranked, 1_000_000, estimate_tokens)
    assert {turn.place for turn in turns_of(excerpts)} == {one.turn.place for one in ranked}


@given(candidates(), st.integers(0, 200))
def test_only_hits_that_do_not_fit_are_left_out(ranked: tuple[Ranked, ...], tokens: int) -> None:
    """A hit that is too long does not keep the next one out."""
    included = {turn.place for turn in turns_of(fit_excerpts(ranked, tokens, estimate_tokens))}
    # upper bounds
    cost = {one.turn.place: estimate_tokens(f"\n{one.turn.text}\n") for one in ranked}
    left = tokens - sum(cost[place] for place in included)
    assert all(
        cost[one.turn.place] > left
        for one in ranked
        if one.is_hit and one.turn.place not in included
    )


def test_a_neighbour_of_two_hits_ranks_higher() -> None:
    """It ranks before the neighbours of only one hit."""
    hits = [Ranked(a_found(1), keyword_rank=2), Ranked(a_found(3), keyword_rank=1)]
    around = [a_found(0), a_found(2), a_found(4)]
    assert [one.turn.seq for one in add_neighbours(hits, around)] == [3, 2, 1, 4, 0]


def test_adjacent_hits_rank_higher() -> None:
    """Two adjacent hits rank before a slightly better single one."""
    hits = [
        Ranked(a_found(9), keyword_rank=1),
        Ranked(a_found(3), keyword_rank=2),
        Ranked(a_found(4), keyword_rank=3),
    ]
    assert [one.turn.seq for one in add_neighbours(hits, ())] == [3, 9, 4]


def test_neighbours_are_left_out_with_their_hit() -> None:
    """Neighbours without their hit would be unintelligible."""
    ranked = add_neighbours(
        [Ranked(a_found(2, text="x" * 400), keyword_rank=1)], [a_found(1), a_found(3)]
    )
    assert fit_excerpts(ranked, 50, estimate_tokens) == ()


def test_adjacent_turns_form_one_excerpt() -> None:
    """Adjacent turns are read as one excerpt."""
    hits = [
        Ranked(a_found(2), keyword_rank=1),
        Ranked(a_found(5), keyword_rank=2),
        Ranked(a_found(9), keyword_rank=3),
    ]
    around = [a_found(seq) for seq in (1, 3, 4, 6)]
    excerpts = fit_excerpts(add_neighbours(hits, around), 1000, estimate_tokens)
    assert [[turn.seq for turn in excerpt.turns] for excerpt in excerpts] == [
        [1, 2, 3, 4, 5, 6],
        [9],
    ]
    assert [excerpt.hit.turn.seq for excerpt in excerpts] == [2, 9]
    assert excerpts[1].text == "turn 9"


def test_a_turn_may_take_the_whole_budget() -> None:
    """The longest text that is recalled of a turn fits the smallest memory budget."""
    ranked = add_neighbours(
        [Ranked(a_found(2, text="x" * 2000), keyword_rank=1)], [a_found(1), a_found(3)]
    )
    assert [turn.seq for turn in turns_of(fit_excerpts(ranked, 500, estimate_tokens))] == [2]
