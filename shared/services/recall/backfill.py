"""Backfill: turns that were stored without a vector get theirs later (F23)."""

from dataclasses import dataclass

from shared.domain.errors import Contended
from shared.domain.ids import UserId
from shared.domain.sessions import Header
from shared.ports.models import Embedder
from shared.ports.search import VectorStore

BATCHES = 16  # in one run; an imported transcript may need several
LOST_BATCHES = 3  # of those: a turn that never takes its vector is not embedded forever (F24)


@dataclass(frozen=True, slots=True)
class VectorBackfill:
    """Adds missing vectors, also after a change of the embedding model. Idempotent.

    Without an embedder nothing is missing.
    """

    store: VectorStore
    embedder: Embedder | None

    async def fill(self, user: UserId, header: Header, after_seq: int) -> bool:
        """Add vectors to the session's turns past `after_seq`; True once all have theirs.

        Raises:
            EmbedderUnavailable: until the next attempt, keyword search finds these turns.
            Contended: turns change, or vanish, faster than they get their vectors.
            StoreUnavailable, Busy: what has been added by then stays.
        """
        if self.embedder is None:
            return True
        lost = 0
        for _ in range(BATCHES):
            missing = await self.store.find_unembedded(user, header, self.embedder.model, after_seq)
            if not missing:
                return True
            vectors = await self.embedder.embed([turn.text for turn in missing])
            by_turn = dict(zip(missing, vectors, strict=True))
            lost += not await self.store.add_vectors(user, header, by_turn)
            if lost == LOST_BATCHES:
                raise Contended("Turns change faster than they get their vectors")
        return False
