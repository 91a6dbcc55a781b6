"""Turns on the wire: stored ones, and ones that were answered elsewhere."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.domain.turns import Turn
from shared.http.schemas.fields import Closed, Instant
from shared.http.schemas.messages import MessageBody, MessageView

MAX_MESSAGES = 100  # of one recorded turn
EXAMPLE: dict[str, JsonValue] = {
    "messages": [
        {"role": "user", "content": "I moved to Oslo"},
        {"role": "assistant", "content": "Congratulations!"},
    ]
}


class TurnBody(Closed):
    """A turn that was answered elsewhere; `at` may be in the past, for imports."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    messages: Annotated[tuple[MessageBody, ...], Field(min_length=1, max_length=MAX_MESSAGES)]
    at: Instant | None = None


class TurnView(BaseModel):
    """One stored turn."""

    turn_id: str
    seq: int
    messages: list[MessageView]
    status: Literal["done", "interrupted", "refused"]
    created_at: datetime

    @classmethod
    def of(cls, turn: Turn) -> Self:
        """Render the turn."""
        return cls(
            turn_id=turn.turn_id.value,
            seq=turn.seq,
            messages=[MessageView.of(message) for message in turn.messages],
            status=turn.status.value,
            created_at=turn.created_at,
        )


class TurnPage(BaseModel):
    """Turns in order; `next_link` if there are more."""

    value: Sequence[TurnView]
    next_link: str | None = None
