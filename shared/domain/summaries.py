"""A summary: text that stands for a stated range of a session's turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue

from shared.domain.ids import Gen, SessionId

MAX_SUMMARY_CHARS = 1600  # about 400 tokens: it stands on the header, which every turn reads
MAX_TITLE_CHARS = 80
LAST_TIMES_SHOWN = 3  # summaries of other sessions that a turn is given
LAST_TIMES_KEPT = LAST_TIMES_SHOWN + 1  # one of them may be the session's own


class Summary(BaseModel):
    """What was said from one turn to another. Extractive: in sentences that were said, not in a model's words.

    It goes with the newest turn it tells of, at `expires_at`, even if its session lives on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    text: str
    title: str | None = None
    from_seq: int
    to_seq: int
    extractive: bool
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LastTime:
    """One session's summary, as the user's other sessions are given it until it expires."""

    session_id: SessionId
    gen: Gen
    text: str
    at: datetime
    expires_at: datetime

    def wire(self) -> Mapping[str, JsonValue]:
        """What a model is told of it."""
        return {"when": f"{self.at.day} {self.at:%B %Y}", "summary": self.text}


def newest_times(
    times: Sequence[LastTime], now: datetime, *, apart_from: SessionId
) -> tuple[LastTime, ...]:
    """The newest of another session that have not expired, newest first."""
    known = [one for one in unexpired(times, now) if one.session_id != apart_from]
    return tuple(sorted(known, key=lambda one: one.at, reverse=True)[:LAST_TIMES_SHOWN])


def unexpired(times: Sequence[LastTime], now: datetime) -> tuple[LastTime, ...]:
    """These without what lived as long as it may."""
    return tuple(one for one in times if one.expires_at > now)


def with_time(times: Sequence[LastTime], latest: LastTime) -> tuple[LastTime, ...]:
    """These with one session's replaced or added, newest first, no more than are kept."""
    others = [one for one in times if one.session_id != latest.session_id]
    return tuple(sorted([*others, latest], key=lambda one: one.at, reverse=True)[:LAST_TIMES_KEPT])


def without_gen(times: Sequence[LastTime], gen: Gen) -> tuple[LastTime, ...]:
    """These without those of one incarnation of a session."""
    return tuple(one for one in times if one.gen != gen)
