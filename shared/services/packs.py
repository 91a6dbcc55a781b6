"""Packs: what a model that is asked elsewhere should be given for a message."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from shared.domain.ids import Gen, UserId
from shared.domain.turns import Header, Turn, fit_window, newest_run
from shared.ports.clock import Clock
from shared.ports.preferences import PreferenceStore
from shared.ports.sessions import SessionStore
from shared.ports.transcript import TranscriptStore
from shared.ports.users import UserStore
from shared.services.contexts import Contexts, Given
from shared.services.openings import Reading
from shared.services.questions import Question
from shared.services.turn_protocol import WINDOW_SHORT


class Packs:
    """Puts packs together as a turn's context is, but reads only: twice is harmless, and nothing begins."""

    def __init__(
        self,
        sessions: SessionStore,
        transcript: TranscriptStore,
        preferences: PreferenceStore,
        users: UserStore,
        contexts: Contexts,
        clock: Clock,
    ) -> None:
        """Take the ports."""
        self._sessions = sessions
        self._transcript = transcript
        self._preferences = preferences
        self._users = users
        self._contexts = contexts
        self._clock = clock

    async def pack(self, user: UserId, question: Question) -> Given:
        """The context of a message in a session, which need not have begun; without system messages.

        Raises:
            StoreUnavailable, Busy: what is known of the user cannot be read.
        """
        now = self._clock.now()
        header, stored = await asyncio.gather(
            self._sessions.read_header(user, question.session), self._preferences.read(user)
        )
        header = header or _not_begun(question, await self._users.read_epoch(user), now)
        window = await self._read_window(user, header)
        opened = Reading(header, stored, None, now).opened(window, cold=True)
        with self._contexts.gathering(user, question, opened, ()) as gathering:
            given = await gathering.finish()
        short = header.turn_count and not window
        return replace(given, degraded=(WINDOW_SHORT, *given.degraded)) if short else given

    async def _read_window(self, user: UserId, header: Header) -> Sequence[Turn]:
        """The window as a cold turn reads it: of a session whose newest turn has expired, nothing (ADR 7)."""
        tail = await self._transcript.read_tail(user, header) if header.turn_count else ()
        return fit_window(newest_run(tail, upto=header.turn_count))


def _not_begun(question: Question, epoch: int, now: datetime) -> Header:
    """The header that a session without turns would have."""
    return Header(
        session_id=question.session,
        gen=Gen(uuid4().hex),
        epoch=epoch,
        turn_count=0,
        consolidated_seq=0,
        created_at=now,
        last_active_at=now,
        expires_at=None,
        etag="",
    )
