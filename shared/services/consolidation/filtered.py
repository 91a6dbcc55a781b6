"""Summaries of what the provider's filter accepts."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.errors import ContentFiltered, PromptFiltered
from shared.domain.ids import UserId
from shared.domain.learning.chunks import Chunk
from shared.domain.quarantine import Quarantine, summary_source
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
        theirs (F48).

        Raises:
            ModelUnavailable, StoreUnavailable, Busy: there is no summary yet.
        """
        from_seq = header.consolidated_seq + 1
        zone, quarantine = stored.preferences.zone, stored.quarantine
        earlier, chunk = _usable(header.summary, quarantine), chunk.without(quarantine)
        try:
            return await self.summariser.summarise(earlier, chunk, from_seq, zone)
        except ContentFiltered as refused:
            log_failure("summary_refused", refused)
            if isinstance(refused, PromptFiltered):
                notes = (summary_source(earlier.text),) if earlier else ()
                await self.quarantines.suspect(user, header.epoch, (*chunk.sources, *notes))
                quarantine = (await self.quarantines.settle(user, header)).quarantine
                earlier, chunk = _usable(earlier, quarantine), chunk.without(quarantine)
            return self.summariser.extract(earlier, chunk, from_seq, source_refused=True)


def _usable(summary: Summary | None, quarantine: Quarantine) -> Summary | None:
    return None if summary and summary_source(summary.text) in quarantine else summary
