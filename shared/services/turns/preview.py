"""The context preview: what a model that the caller runs should be given for a message."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from shared.domain.history import fit_window, newest_run
from shared.domain.ids import Gen, UserId
from shared.domain.sessions import Header, empty_header
from shared.domain.turns import Turn
from shared.ports.models import TokenCounter
from shared.ports.preferences import PreferenceStore
from shared.ports.sessions import SessionStore
from shared.ports.system import Clock
from shared.ports.turns import TurnStore
from shared.ports.users import UserStore
from shared.services.recall import Recall
from shared.services.turns.attempt import WINDOW_INCOMPLETE, Snapshot, TurnAttempt
from shared.services.turns.context import Context, build_context, start_search
from shared.services.turns.request import ChatRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextPreview:
    """Builds the context that a turn would have. Read-only, so it may be repeated."""

    sessions: SessionStore
    turns: TurnStore
    preferences: PreferenceStore
    users: UserStore
    recall: Recall
    tokens: TokenCounter
    clock: Clock

    async def preview(self, request: ChatRequest) -> Context:
        """The context of a message in a session, which need not exist; without system messages.

        Raises:
            StoreUnavailable, Busy: what is stored about the user cannot be read.
        """
        attempt = TurnAttempt(request, seconds=0, now=self.clock.now())
        attempt.snapshot = await self._read(attempt, request)
        with start_search(self.recall, attempt, request) as search:
            context = await build_context(
                attempt, request, search, (), self.tokens.count, with_tools=True
            )
        snapshot = attempt.snapshot
        if snapshot.header.turn_count and not snapshot.window:
            return replace(context, degraded=(WINDOW_INCOMPLETE, *context.degraded))
        return context

    async def _read(self, attempt: TurnAttempt, request: ChatRequest) -> Snapshot:
        header, preferences = await asyncio.gather(
            self.sessions.read_header(request.user, request.session),
            self.preferences.read(request.user),
        )
        if header is None:
            epoch = await self.users.read_epoch(request.user)
            header = empty_header(request.session, Gen(uuid4().hex), epoch, attempt.now)
        window = await self._read_window(request.user, header)
        return Snapshot.of(header, preferences, window, attempt.now, cold=True)

    async def _read_window(self, user: UserId, header: Header) -> Sequence[Turn]:
        """The window as a cold turn reads it; empty if the newest turn has expired (ADR 7)."""
        tail = await self.turns.read_tail(user, header) if header.turn_count else ()
        return fit_window(newest_run(tail, upto=header.turn_count))
