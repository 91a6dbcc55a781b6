"""Sessions on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.sessions import Header
from shared.domain.summaries import Summary
from shared.http.schemas.fields import MergePatch, Name, Whole


class SummaryView(BaseModel):
    """A text that represents the turns from `from_seq` to `to_seq`."""

    text: str
    from_seq: int
    to_seq: int
    extractive: bool

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """Render a summary."""
        return cls(**summary.model_dump(include=set(cls.model_fields)))


class SessionView(BaseModel):
    """A session without its turns."""

    session_id: str
    title: str | None = None
    agent_id: str | None = None
    ttl_seconds: int | None = None
    turn_count: int
    consolidated_seq: int
    summary: SummaryView | None = None
    last_active_at: datetime
    created_at: datetime

    @classmethod
    def of(cls, header: Header) -> Self:
        """Render a header."""
        return cls(
            session_id=header.session_id.value,
            title=header.shown_title,
            agent_id=header.agent_id,
            ttl_seconds=header.ttl_seconds,
            turn_count=header.turn_count,
            consolidated_seq=header.consolidated_seq,
            summary=SummaryView.of(header.summary) if header.summary else None,
            last_active_at=header.last_active_at,
            created_at=header.created_at,
        )


class SessionPatchBody(MergePatch):
    """A JSON merge patch (RFC 7396): null clears a field.

    No turn lives longer than `RETENTION_DAYS`.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Words"}]})

    title: Name | None = None
    ttl_seconds: Annotated[Whole, Field(ge=60, le=315_360_000)] | None = None


class SessionPage(BaseModel):
    """Sessions, newest first; `next_link` is set while there may be more."""

    value: Sequence[SessionView]
    next_link: str | None = None
