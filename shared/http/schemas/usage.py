"""A user's usage on the wire."""

from dataclasses import asdict, replace
from datetime import date
from typing import Self

from pydantic import BaseModel, Field

from shared.domain.spending import Spending
from shared.services.usage import UserUsage

BYTES = "As JSON in Cosmos DB, without session headers, preferences and indexes"
TOTAL = (
    "By all turns that were stored, and by background work, since ever: what was deleted or has "
    "expired stays included. It is the sum of what the responses and runs reported"
)
TODAY = "The part of it of this day; best effort"
OTHER = "By requests that stored no turn, on this day; best effort"


class StoredView(BaseModel):
    """What is stored now, without what has expired or was deleted."""

    sessions: int = Field(description="Sessions with turns")
    turns: int
    session_data: int = Field(description="Items")
    bytes: int = Field(description=BYTES)


class SpendingView(BaseModel):
    """What was asked of models, and of Cosmos DB."""

    turns: int = Field(description="Turns that were stored")
    model_calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(description="The part of the prompt tokens that the provider cached")
    embedding_tokens: int
    request_units: float

    @classmethod
    def of(cls, spending: Spending) -> Self:
        """Render what was spent."""
        return cls(**asdict(replace(spending, request_units=round(spending.request_units, 2))))


class SpentView(BaseModel):
    """What was spent; a stored turn counts once, however often it was sent."""

    total: SpendingView = Field(description=TOTAL)
    today: SpendingView = Field(description=TODAY)
    other_today: SpendingView = Field(description=OTHER)


class UserUsageView(BaseModel):
    """What is stored for a user now, and what was spent."""

    day: date = Field(description="Today, in UTC")
    stored: StoredView
    spent: SpentView

    @classmethod
    def of(cls, usage: UserUsage) -> Self:
        """Render the usage."""
        spent = usage.spent
        return cls(
            day=usage.day,
            stored=StoredView(**asdict(usage.stored)),
            spent=SpentView(
                total=SpendingView.of(spent.total),
                today=SpendingView.of(spent.today),
                other_today=SpendingView.of(spent.other_today),
            ),
        )
