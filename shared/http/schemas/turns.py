"""Turns on the wire: stored ones, and ones that were answered elsewhere."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
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

    @property
    def identity(self) -> Mapping[str, JsonValue]:
        """The body, with times in UTC: the same time with another offset is the same turn."""
        messages = [message.model_copy(update=_in_utc(message.at)) for message in self.messages]
        same = self.model_copy(update={"messages": tuple(messages)} | _in_utc(self.at))
        return same.model_dump(mode="json", exclude_defaults=True)


def _in_utc(at: datetime | None) -> dict[str, datetime]:
    return {"at": at.astimezone(UTC)} if at else {}


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
