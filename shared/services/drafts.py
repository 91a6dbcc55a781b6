"""Drafts: turns as they are before they have their place in the session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.turns import Message, TokenUsage, Turn, TurnStatus, search_text
from shared.domain.vectors import Vector
from shared.ports.commits import Draft
from shared.services.hearing import Heard
from shared.services.openings import Asked, Opened


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept: `turns` and preferences by default, `unremembered` with memory switched off.

    A session is due for consolidation when it was idle for `due_after`.
    """

    turns: timedelta
    unremembered: timedelta
    due_after: timedelta

    def lifetime(self, opened: Opened) -> timedelta:
        """How long a turn of this session is kept: no longer than any turn is, whatever the session asks for."""
        if not opened.preferences.memory_enabled:
            return self.unremembered
        own = opened.header.ttl_seconds
        return min(timedelta(seconds=own), self.turns) if own else self.turns


def draft_turn(
    asked: Asked,
    opened: Opened,
    said: Sequence[Message],
    heard: Heard,
    vector: Vector | None,
    now: datetime,
    retention: Retention,
) -> Draft:
    """The turn that was said and heard, next after those that it saw; remembered only if it is to be.

    A refused one is found by nothing: told again, it would be refused again.
    """
    turn = _turn(asked, opened, said, heard, now, now + retention.lifetime(opened))
    due_at = now + retention.due_after if opened.preferences.memory_enabled else None
    return Draft(turn, vector if turn.text else None, due_at)


def _turn(
    asked: Asked,
    opened: Opened,
    said: Sequence[Message],
    heard: Heard,
    now: datetime,
    expires_at: datetime,
) -> Turn:
    messages, reply = tuple(said), heard.reply
    is_found = opened.preferences.memory_enabled and heard.status is not TurnStatus.REFUSED
    if reply:
        messages += (
            Message(role="assistant", content=reply.text, tool_calls=reply.tool_calls, at=now),
        )
    return Turn(
        session_id=asked.session,
        gen=opened.header.gen,
        epoch=opened.header.epoch,
        turn_id=asked.turn_id,
        seq=opened.header.turn_count + 1,
        saw_seq=opened.header.turn_count,
        body_hash=asked.body_hash,
        status=heard.status,
        messages=messages,
        finish_reason=reply.finish_reason if reply else None,
        usage=reply.usage if reply else TokenUsage(),
        text=search_text(messages) if is_found else None,
        created_at=now,
        expires_at=expires_at,
    )
