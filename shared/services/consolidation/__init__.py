"""Consolidation: what was said in old sessions goes into their summaries."""

from shared.services.consolidation.consolidate import Consolidation
from shared.services.consolidation.filter_probe import FilterProbe
from shared.services.consolidation.filtered import FilteredSummariser
from shared.services.consolidation.quarantine_keeper import QuarantineKeeper
from shared.services.consolidation.recent_sessions import RecentSessions
from shared.services.consolidation.schedule import ConsolidationSchedule
from shared.services.consolidation.summarise import Summariser, SummaryModel

__all__ = [
    "Consolidation",
    "ConsolidationSchedule",
    "FilterProbe",
    "FilteredSummariser",
    "QuarantineKeeper",
    "RecentSessions",
    "Summariser",
    "SummaryModel",
]
