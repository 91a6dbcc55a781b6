"""Words: what a message is searched for by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.recall.keywords import MAX_WORD_CHARS, MAX_WORDS, count_words, extract_keywords

TEXTS = st.text(max_size=300) | st.lists(
    st.sampled_from(
        [
            "Ada's",
            "bike",
            "İzmir",
            "naïve",
            "自転車",
            "the",
            "a",
            "I'm",
            "'x'",
            "7",
            "x_y",
            "👍",
            "ß",
        ]
    )
).map(" ".join)


@given(TEXTS)
def test_words_are_few_short_and_different(text: str) -> None:
    """Each costs, none twice, and no text however long makes a query of more."""
    words = extract_keywords(text)
    assert len(words) <= MAX_WORDS
    assert len(set(words)) == len(words)
    assert all(0 < len(word) <= MAX_WORD_CHARS for word in words)


@given(TEXTS)
def test_every_word_was_said(text: str) -> None:
    """In its order, in lower case, with straight apostrophes."""
    said = text.lower().replace("\u2019", "'")
    places = [said.find(word) for word in extract_keywords(text)]
    assert -1 not in places


@given(TEXTS)
def test_marks_around_say_nothing(text: str) -> None:
    """A question finds what a statement does."""
    assert extract_keywords(f"…{text}?!") == extract_keywords(text)


@given(TEXTS)
def test_more_words_are_counted_where_more_is_said(text: str) -> None:
    """None of nothing, at least one of each word."""
    words = extract_keywords(text)
    assert count_words(words) >= len(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("What did I say about it?", ()),
        ("Sounds good, thanks a lot!", ()),
        ("What colour is Ada's bicycle?", ("colour", "ada", "bicycle")),
        ("What colour is Ada\u2019s bicycle?", ("colour", "ada", "bicycle")),
        ("I don\u2019t know, I can't", ()),
        ("It's seven o'clock", ("seven", "o'clock")),
        ("Room 7, bed B", ("room", "7", "bed")),
        ("Straße, CAFÉ und Łódź", ("straße", "café", "und", "łódź")),
        ("Где мой велосипед?", ("где", "мой", "велосипед")),
        ("我的自行车是什么颜色?", ("我的自行车是什么颜色",)),
        ("bike Bike BIKE", ("bike",)),
        ("👍 … — 🎉", ()),
    ],
)
def test_words_that_say_something_are_kept(text: str, words: tuple[str, ...]) -> None:
    """Of any script; not those that every sentence has."""
    assert extract_keywords(text) == words


def test_of_many_the_longest_are_kept_in_their_order() -> None:
    """They are the rarest, and a long question has some to spare."""
    short, long = [f"s{n}" for n in range(9)], [f"longer{n}" for n in range(MAX_WORDS)]
    mixed = " ".join(word for pair in zip(long, [*short, "s9"], strict=True) for word in pair)
    assert extract_keywords(mixed) == tuple(long)


def test_a_script_without_blanks_has_many_words_in_one() -> None:
    """So a sentence of it is worth a vector, and a single sign is not."""
    assert count_words(extract_keywords("我的自行车是什么颜色")) == 5
    assert count_words(extract_keywords("车")) == 1
    assert count_words(extract_keywords("bicycle colour")) == 2


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "'",
        "a'",
        "'a",
        "\u2019s",
        "x" * 40 + "'",
        "_",
        "字",
        "a b'",
        "İ",
        "\u0301",
        "the ",
        "1",
        "\n",
    ],
)
def test_hostile_text_ends_soon(piece: str) -> None:
    """A pasted megabyte of anything: with a search that looks back, this would not end today."""
    assert len(extract_keywords(piece * (1_000_000 // len(piece)))) <= MAX_WORDS


def test_a_pasted_key_is_no_word() -> None:
    """What is longer than any word is searched for by its beginning: a query does not grow with it."""
    assert extract_keywords("x" * 30_000) == ("x" * MAX_WORD_CHARS,)
