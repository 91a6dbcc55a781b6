"""What is kept of a user, on the wire."""

from dataclasses import asdict, replace
from datetime import date
from typing import Self

from pydantic import BaseModel, Field

from shared.ports.usage import Used
from shared.services.usage import UserUsage


class UsedView(BaseModel):
    """What is kept, and what it took to make."""

    sessions: int = Field(
        description="Sessions with at least one turn; under `today` those with a turn today"
    )
    turns: int = Field(
        description="Turns; under `today` those stored today, whenever they were said"
    )
    values: int = Field(description="Values kept with sessions; under `today` those set today")
    bytes: int = Field(
        description="Of these turns and values as the JSON that Cosmos DB stores; without headers of sessions, "
        "preferences and indexes"
    )
    prompt_tokens: int = Field(description="Of these turns, as the model counted them")
    completion_tokens: int = Field(description="Of these turns, as the model counted them")
    embedding_tokens: int = Field(
        description="Of these turns, as the embedding model counted them when they were said; vectors that come later "
        "are in no turn's figures"
    )
    request_units: float = Field(
        description="What the requests that made these turns and values had spent in Cosmos DB when they wrote: their "
        "reads, without the write itself, whose price is known only afterwards and is in that answer's `usage`"
    )

    @classmethod
    def of(cls, used: Used) -> Self:
        """The figures on the wire."""
        return cls(**asdict(replace(used, request_units=round(used.request_units, 2))))


class UserUsageView(BaseModel):
    """Of what has neither expired nor been deleted. What was made before this was measured counts, with 0 bytes."""

    day: date = Field(description="The day that `today` means; days are UTC's")
    today: UsedView
    total: UsedView

    @classmethod
    def of(cls, usage: UserUsage) -> Self:
        """The figures on the wire."""
        return cls(day=usage.day, today=UsedView.of(usage.today), total=UsedView.of(usage.total))
