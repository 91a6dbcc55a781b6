"""Recall: what the user said before, in any session."""

from shared.services.recall.backfill import VectorBackfill
from shared.services.recall.search import Recall, RecallResult, Search

__all__ = ["Recall", "RecallResult", "Search", "VectorBackfill"]
