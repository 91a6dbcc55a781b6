"""Full text over one partition: SQLite's FTS5 with its English stemmer and BM25."""

from __future__ import annotations

import math
import re
import sqlite3

from cosmos_local.values import Value

K1, B = 1.2, 0.75  # as FTS5's own bm25()
_MARK = "\x01"


class TextIndex:
    """The texts of one property."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._fts = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._fts.execute(
            "CREATE VIRTUAL TABLE texts USING fts5(text, tokenize = 'porter unicode61')"
        )
        self._rows: set[int] = set()

    def close(self) -> None:
        """Close the index's own database."""
        self._fts.close()

    def put(self, row: int, value: Value) -> None:
        """Store a row's text, or forget the row when it has none."""
        self.remove({row})
        if isinstance(value, str):
            self._fts.execute(
                "INSERT INTO texts (rowid, text) VALUES (?, ?)", [row, value.replace(_MARK, " ")]
            )
            self._rows.add(row)

    def remove(self, rows: set[int]) -> None:
        """Forget rows."""
        known = rows & self._rows
        self._fts.executemany("DELETE FROM texts WHERE rowid = ?", [(row,) for row in known])
        self._rows -= known

    def rows(self) -> set[int]:
        """Return the rows that have a text."""
        return set(self._rows)

    def containing(self, phrase: str) -> set[int]:
        """Return the rows whose text has the phrase, its words stemmed."""
        rows = self._fts.execute("SELECT rowid FROM texts WHERE texts MATCH ?", [_quote(phrase)])
        return {int(row[0]) for row in rows}

    def scores(self, phrases: list[str]) -> dict[int, float]:
        """Return each row's BM25 score, from this partition's own statistics; 0 where no phrase occurs."""
        match = " OR ".join(map(_quote, phrases))
        found = self._fts.execute(
            "SELECT rowid, -bm25(texts) FROM texts WHERE texts MATCH ?", [match]
        )
        return dict.fromkeys(self._rows, 0.0) | {int(row): float(score) for row, score in found}

    def scores_among(
        self, phrases: list[str], documents: int, words: int, hits: list[int]
    ) -> dict[int, float]:
        """Return each row's BM25 score under statistics gathered elsewhere (the SDK sums them over all ranges)."""
        scores = dict.fromkeys(self._rows, 0.0)
        average = words / documents if documents else 1.0
        for phrase, hit in zip(phrases, hits, strict=True):
            idf = max(math.log((documents - hit + 0.5) / (hit + 0.5)), 1e-6)
            for row, count, length in self._occurrences(phrase):
                scores[row] += (
                    idf * count * (K1 + 1) / (count + K1 * (1 - B + B * length / average))
                )
        return scores

    def _occurrences(self, phrase: str) -> list[tuple[int, int, int]]:
        statement = "SELECT rowid, highlight(texts, 0, ?, ''), text FROM texts WHERE texts MATCH ?"
        rows = self._fts.execute(statement, [_MARK, _quote(phrase)])
        return [(int(row), marked.count(_MARK), word_count(text)) for row, marked, text in rows]


def word_count(text: Value) -> int:
    """Return how many words a text has."""
    return len(re.findall(r"\w+", text)) if isinstance(text, str) else 0


def _quote(phrase: str) -> str:
    return '"' + phrase.replace('"', '""').replace("\0", " ") + '"'
