"""Summaries of what the provider's filter accepts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shared.domain.errors import Busy, ContentFiltered, PromptFiltered
from shared.domain.ids import UserId
from shared.domain.learning.chunks import Chunk
from shared.domain.quarantine import Quarantine, Source, summary_source
from shared.domain.sessions import Header
from shared.domain.summaries import Summary
from shared.domain.turns import Turn
from shared.ports.preferences import StoredPreferences
from shared.services.consolidation.quarantine_keeper import QuarantineKeeper
from shared.services.consolidation.summarise import Summariser
from shared.telemetry import log_failure


@dataclass(frozen=True, slots=True)
class FilteredSummariser:
    """Summarises without what is in quarantine, and finds out what else belongs there."""

    summariser: Summariser
    quarantines: QuarantineKeeper

    def cut(self, turns: Sequence[Turn], upto: int) -> Chunk:
        """Cut off as many of these turns, up to this seq, as are summarised at once."""
        return self.summariser.cut(turns, upto)

    async def summarise(
        self, user: UserId, header: Header, chunk: Chunk, stored: StoredPreferences
    ) -> Summary | None:
        """Summarise a chunk; extractive if the provider refuses it (F16).

        Then the turns that are refused are looked for, because no extract repeats a sentence of
        theirs (F48). Suspects are summarised with the rest: what is left out stays out.

        Raises:
            ModelUnavailable, StoreUnavailable: there is no summary yet.
            Busy: nor is it known yet which turns are refused; the next run goes on.
        """
        from_seq = header.consolidated_seq + 1
        earlier, chunk = _without(stored.quarantine.culprits, header.summary, chunk)
        try:
            return await self.summariser.summarise(
                earlier, chunk, from_seq, stored.preferences.zone
            )
        except ContentFiltered as refused:
            log_failure("summary_refused", refused)
            if isinstance(refused, PromptFiltered):
                quarantine = await self._search(user, header, earlier, chunk)
                earlier, chunk = _without(quarantine.culprits, earlier, chunk)
            return self.summariser.extract(earlier, chunk, from_seq, source_refused=True)

    async def _search(
        self, user: UserId, header: Header, earlier: Summary | None, chunk: Chunk
    ) -> Quarantine:
        """Find out what of a refused chunk is refused.

        Raises:
            Busy: the calls of one run did not suffice, or the model could not be asked.
        """
        sources = (*chunk.sources, *((summary_source(earlier.text),) if earlier else ()))
        await self.quarantines.suspect(user, header.epoch, sources)
        model = self.summariser.model.name if self.summariser.model else None
        quarantine = (await self.quarantines.settle(user, header, model)).stored.quarantine
        if set(sources) & set(quarantine.suspects):
            raise Busy(
                "What the provider refuses is not found out yet; send the same request again",
                retry_after=1,
            )
        return quarantine


def _without(
    culprits: Collection[Source], summary: Summary | None, chunk: Chunk
) -> tuple[Summary | None, Chunk]:
    usable = summary if summary and summary_source(summary.text) not in culprits else None
    return usable, chunk.without(culprits)
