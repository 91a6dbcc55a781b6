"""A user's usage on the wire."""

from dataclasses import asdict, replace
from datetime import date
from typing import Self

from pydantic import BaseModel, Field

from shared.ports.users import UsageTotals
from shared.services.usage import UserUsage

BYTES = "As JSON in Cosmos DB, without session headers, preferences and indexes"
EMBEDDING_TOKENS = (
    "As the embedding model counted them when the turns were taken; vectors that are added later "
    "are not included"
)
REQUEST_UNITS = (
    "What the requests behind these turns and session data had spent on reads when they wrote; "
    "the write itself is in the `usage` of its own response"
)


class UsageTotalsView(BaseModel):
    """What is stored, and what it cost."""

    sessions: int = Field(description="Sessions with turns; under `today` those with a turn today")
    turns: int = Field(description="Under `today` those stored today, whenever they were said")
    session_data: int = Field(description="Items; under `today` those written today")
    bytes: int = Field(description=BYTES)
    prompt_tokens: int = Field(description="Of these turns, as the model counted them")
    completion_tokens: int = Field(description="Of these turns, as the model counted them")
    embedding_tokens: int = Field(description=EMBEDDING_TOKENS)
    request_units: float = Field(description=REQUEST_UNITS)

    @classmethod
    def of(cls, totals: UsageTotals) -> Self:
        """Render the totals."""
        return cls(**asdict(replace(totals, request_units=round(totals.request_units, 2))))


class UserUsageView(BaseModel):
    """Totals over everything that has neither expired nor been deleted."""

    day: date = Field(description="The day that `today` means, in UTC")
    today: UsageTotalsView
    total: UsageTotalsView

    @classmethod
    def of(cls, usage: UserUsage) -> Self:
        """Render the totals."""
        today, total = UsageTotalsView.of(usage.today), UsageTotalsView.of(usage.total)
        return cls(day=usage.day, today=today, total=total)
