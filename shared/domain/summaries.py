"""Summaries: text that stands for a stated range of a session's turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from pydantic import JsonValue

from shared.domain.dates import date_text
from shared.domain.ids import Gen, SessionId
from shared.domain.messages import Stored

MAX_SUMMARY_CHARS = 1600  # about 400 tokens: every turn reads it with the session header
MAX_TITLE_CHARS = 80
RECENT_SESSIONS_SHOWN = 3  # summaries of other sessions that a turn includes
RECENT_SESSIONS_KEPT = RECENT_SESSIONS_SHOWN + 1  # one of them may be the current session's


class Summary(Stored):
    """What was said from one turn to another.

    Extractive means: in sentences that were said, not in a model's words. It expires with the
    newest turn it covers, even if its session lives on. `source_refused` if the provider refused
    to summarise a part of what it covers; then it never becomes a recent session.
    """

    text: str
    title: str | None = None
    from_seq: int
    to_seq: int
    extractive: bool
    source_refused: bool = False
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentSession:
    """One session's summary as the user's other sessions include it, until it expires.

    `at` is the time of the session's newest message, also of one that was imported.
    """

    session_id: SessionId
    gen: Gen
    text: str
    at: datetime
    expires_at: datetime

    def as_data(self, zone: tzinfo) -> Mapping[str, JsonValue]:
        """What a model is given of it, with the date in the user's time zone."""
        return {"when": date_text(self.at, zone), "summary": self.text}


def newest_recent_sessions(
    sessions: Sequence[RecentSession], now: datetime, *, apart_from: SessionId
) -> tuple[RecentSession, ...]:
    """The newest three of another session that have not expired, newest first."""
    others = [one for one in unexpired(sessions, now) if one.session_id != apart_from]
    return _newest_first(others)[:RECENT_SESSIONS_SHOWN]


def unexpired(sessions: Sequence[RecentSession], now: datetime) -> tuple[RecentSession, ...]:
    """Those that have not expired."""
    return tuple(one for one in sessions if one.expires_at > now)


def with_recent_session(
    sessions: Sequence[RecentSession], latest: RecentSession
) -> tuple[RecentSession, ...]:
    """Replace or add one session, newest first, and keep no more than four."""
    others = [one for one in sessions if one.session_id != latest.session_id]
    return _newest_first([*others, latest])[:RECENT_SESSIONS_KEPT]


def without_gen(sessions: Sequence[RecentSession], gen: Gen) -> tuple[RecentSession, ...]:
    """Drop those of one incarnation of a session."""
    return tuple(one for one in sessions if one.gen != gen)


def _newest_first(sessions: Sequence[RecentSession]) -> tuple[RecentSession, ...]:
    return tuple(sorted(sessions, key=lambda one: one.at, reverse=True))
