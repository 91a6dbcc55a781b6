"""Keywords: what a message is searched for by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.recall.keywords import (
    MAX_KEYWORD_CHARS,
    MAX_KEYWORDS,
    count_words,
    extract_keywords,
)

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
def test_keywords_are_few_short_and_distinct(text: str) -> None:
    """A query has a bounded number of distinct keywords, however long the text."""
    words = extract_keywords(text)
    assert len(words) <= MAX_KEYWORDS
    assert len(set(words)) == len(words)
    assert all(0 < len(word) <= MAX_KEYWORD_CHARS for word in words)


@given(TEXTS)
def test_every_keyword_is_in_the_text(text: str) -> None:
    """Keywords keep their order, in lower case, with straight apostrophes."""
    lowered = text.lower().replace("\u2019", "'")
    positions = [lowered.find(word) for word in extract_keywords(text)]
    assert -1 not in positions


@given(TEXTS)
def test_punctuation_is_ignored(text: str) -> None:
    """A question has the same keywords as a statement."""
    assert extract_keywords(f"…{text}?!") == extract_keywords(text)


@given(TEXTS)
def test_the_word_count_covers_all_keywords(text: str) -> None:
    """The word count is zero without keywords, and otherwise at least their number."""
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
def test_stop_words_are_dropped(text: str, words: tuple[str, ...]) -> None:
    """Stop words are dropped; other words of any script are kept."""
    assert extract_keywords(text) == words


def test_the_longest_keywords_are_kept() -> None:
    """Long words are the rarest, and they stay in their order."""
    short, long = [f"s{n}" for n in range(9)], [f"longer{n}" for n in range(MAX_KEYWORDS)]
    mixed = " ".join(word for pair in zip(long, [*short, "s9"], strict=True) for word in pair)
    assert extract_keywords(mixed) == tuple(long)


def test_text_without_spaces_counts_as_several_words() -> None:
    """So a sentence gets a vector, and a single character does not."""
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
def test_hostile_text_takes_linear_time(piece: str) -> None:
    """The extraction takes linear time: a pasted megabyte must not cause backtracking."""
    assert len(extract_keywords(piece * (1_000_000 // len(piece)))) <= MAX_KEYWORDS


def test_a_very_long_word_is_cut() -> None:
    """A word longer than the limit is cut, so that queries stay bounded."""
    assert extract_keywords("x" * 30_000) == ("x" * MAX_KEYWORD_CHARS,)
