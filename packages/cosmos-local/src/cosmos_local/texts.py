"""Full text over one partition: SQLite's FTS5 with its English stemmer and BM25."""

from __future__ import annotations

import math
import re
import sqlite3
from functools import cache
from pathlib import Path as File

from cosmos_local.keys import Path
from cosmos_local.storage import Item
from cosmos_local.values import Value, dig

K1, B = 1.2, 0.75  # as FTS5's own bm25()
MAX_TERMS = 30
_MARK = "\x01"
_TYPOGRAPHIC = "\u2019"  # the other apostrophe
_WORD = re.compile(rf"\w+(?:['{_TYPOGRAPHIC}]\w+)*")
_APOSTROPHE = re.compile(f"['{_TYPOGRAPHIC}]")


class TextIndex:
    """The texts of one property."""

    needs_body = True

    def __init__(self, path: Path, snapshot: bytes | None = None) -> None:
        """Start with what a snapshot holds, or with nothing."""
        self._path = path
        self._fts = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        if snapshot is None:
            self._fts.execute(
                "CREATE VIRTUAL TABLE texts USING fts5(text, tokenize = 'porter unicode61')"
            )
        else:
            self._fts.deserialize(snapshot)
        self.known = {int(row) for (row,) in self._fts.execute("SELECT rowid FROM texts")}

    def close(self) -> None:
        """Close the index's own database."""
        self._fts.close()

    def snapshot(self) -> bytes:
        """Return everything the index holds, to start from another time."""
        return self._fts.serialize()

    def put(self, items: list[Item]) -> None:
        """Take in items' texts, and forget items that have none."""
        found = {item.row: dig(item.document(whole=False), self._path) for item in items}
        texts = {row: value for row, value in found.items() if isinstance(value, str)}
        self._fts.execute("BEGIN")
        self.remove(set(found))
        self._fts.executemany(
            "INSERT INTO texts (rowid, text) VALUES (?, ?)",
            [(row, without_stopwords(value)) for row, value in texts.items()],
        )
        self._fts.execute("COMMIT")
        self.known |= texts.keys()

    def remove(self, rows: set[int]) -> None:
        """Forget rows."""
        known = rows & self.known
        self._fts.executemany("DELETE FROM texts WHERE rowid = ?", [(row,) for row in known])
        self.known -= known

    def containing(self, phrase: str) -> set[int]:
        """Return the rows whose text has the phrase, its words stemmed."""
        match = _match([phrase])
        if match is None:
            return set()
        rows = self._fts.execute("SELECT rowid FROM texts WHERE texts MATCH ?", [match])
        return {int(row[0]) for row in rows}

    def scores(self, phrases: list[str]) -> dict[int, float]:
        """Return the BM25 score of each row with a hit, from this partition's own statistics."""
        match = _match(phrases)
        if match is None:
            return {}
        statement = "SELECT rowid, -bm25(texts) FROM texts WHERE texts MATCH ?"
        return {int(row): float(score) for row, score in self._fts.execute(statement, [match])}

    def scores_among(
        self, phrases: list[str], documents: int, words: int, hits: list[int]
    ) -> dict[int, float]:
        """Return the score of each row with a hit under statistics gathered elsewhere.

        The SDK sums them over all ranges.
        """
        scores: dict[int, float] = {}
        average = words / documents if documents else 1.0
        for phrase, hit in zip(phrases, hits, strict=True):
            idf = max(math.log((documents - hit + 0.5) / (hit + 0.5)), 1e-6)
            for row, count, length in self._occurrences(phrase):
                weight = count + K1 * (1 - B + B * length / average)
                scores[row] = scores.get(row, 0.0) + idf * count * (K1 + 1) / weight
        return scores

    def _occurrences(self, phrase: str) -> list[tuple[int, int, int]]:
        match = _match([phrase])
        if match is None:
            return []
        statement = "SELECT rowid, highlight(texts, 0, ?, ''), text FROM texts WHERE texts MATCH ?"
        rows = self._fts.execute(statement, [_MARK, match])
        return [(int(row), marked.count(_MARK), word_count(text)) for row, marked, text in rows]


def word_count(text: Value) -> int:
    """Return how many words of a text count: stop words do not."""
    if not isinstance(text, str):
        return 0
    return len(re.findall(r"\w+", without_stopwords(text)))


def without_stopwords(text: str) -> str:
    """Return the words of a text that are searched; the service removes the others as well."""
    stop = _stopwords()
    words = _WORD.findall(text)
    if _APOSTROPHE.search(text):
        whole = [word for word in words if word.lower().replace(_TYPOGRAPHIC, "'") not in stop]
        words = [part for word in whole for part in _APOSTROPHE.split(word)]
    return " ".join([word for word in words if word.lower() not in stop])


@cache
def _stopwords() -> frozenset[str]:
    """Read the service's published list for English."""
    return frozenset((File(__file__).parent / "stopwords.txt").read_text().split())


def _match(phrases: list[str]) -> str | None:
    """Return an FTS5 query for any of the phrases, or None when no word of them is searched."""
    searched = [words for phrase in phrases if (words := without_stopwords(phrase))]
    return " OR ".join(f'"{words}"' for words in searched) or None
