"""Missing vectors: what was recorded from elsewhere, or said without the embedding model, gets its later (F23)."""

from shared.domain.errors import Contended
from shared.domain.ids import UserId
from shared.domain.turns import Header
from shared.ports.embedder import Embedder
from shared.ports.vectors import VectorStore

BATCHES = 16  # of one run; a transcript that was imported may need some
LOST_BATCHES = 3  # of those; a turn that never takes its vector is not embedded for ever (F24)


class MissingVectors:
    """Fills vectors in, also after the embedding model was changed. Twice is harmless: nothing is missing then."""

    def __init__(self, store: VectorStore, embedder: Embedder | None) -> None:
        """Take the store; without an embedder nothing is missing."""
        self._store = store
        self._embedder = embedder

    async def fill(self, user: UserId, header: Header, after_seq: int) -> bool:
        """Give the turns of a session with a greater seq their vectors; whether all of them have theirs now.

        Raises:
            EmbedderUnavailable: they are found by their words until it is tried again.
            Contended: turns change, or are gone, faster than they get theirs.
            StoreUnavailable, Busy: what is filled in by then stays.
        """
        if self._embedder is None:
            return True
        lost = 0
        for _ in range(BATCHES):
            missing = await self._store.find_unembedded(
                user, header, self._embedder.model, after_seq
            )
            if not missing:
                return True
            vectors = await self._embedder.embed([turn.text for turn in missing])
            lost += not await self._store.keep_vectors(
                user, header, dict(zip(missing, vectors, strict=True))
            )
            if lost == LOST_BATCHES:
                raise Contended("Turns are changed faster than they get their vectors")
        return False
