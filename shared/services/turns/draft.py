"""Drafts: turns that do not have their place in the session yet."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.ids import TurnId
from shared.domain.messages import Message
from shared.domain.recall.search_text import search_text
from shared.domain.turns import TokenUsage, Turn, TurnStatus
from shared.domain.vectors import Vector
from shared.ports.turns import Draft
from shared.services.turns.attempt import Snapshot, TurnAttempt
from shared.services.turns.generation import Generation


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept: `turns` by default, `unremembered` with memory switched off.

    A session is due for consolidation once it has been idle for `due_after`.
    """

    turns: timedelta
    unremembered: timedelta
    due_after: timedelta

    def lifetime(self, snapshot: Snapshot) -> timedelta:
        """How long a turn of this session is kept: at most `turns`, whatever the session says."""
        if not snapshot.preferences.memory_enabled:
            return self.unremembered
        own = snapshot.header.ttl_seconds
        return min(timedelta(seconds=own), self.turns) if own else self.turns


def draft_turn(
    attempt: TurnAttempt,
    generation: Generation,
    vector: Vector | None,
    now: datetime,
    retention: Retention,
) -> Draft:
    """Draft the next turn after those that the model saw.

    A refused turn has no search text: sent to the model again, it would be refused again.
    """
    memory_enabled = attempt.snapshot.preferences.memory_enabled
    turn = _turn(attempt, generation, now, now + retention.lifetime(attempt.snapshot))
    due_at = now + retention.due_after if memory_enabled else None
    return Draft(
        turn=turn,
        vector=vector if turn.text else None,
        due_at=due_at,
        loop_turn=_loop_turn(attempt, turn),
        expires_at=turn.expires_at,
        last_active_at=min(now, max(message.at for message in turn.messages)),
    )


def _loop_turn(attempt: TurnAttempt, turn: Turn) -> TurnId | None:
    """The turn that started the tool loop, while the newest reply calls tools."""
    if not turn.messages[-1].tool_calls:
        return None
    starts = any(message.role == "user" for message in attempt.messages)
    return turn.turn_id if starts else attempt.snapshot.header.loop_turn


def _turn(
    attempt: TurnAttempt, generation: Generation, now: datetime, expires_at: datetime
) -> Turn:
    request, snapshot, reply = attempt.request, attempt.snapshot, generation.reply
    messages = tuple(attempt.messages)
    if reply:
        answer = Message(
            role="assistant",
            content=reply.text,
            tool_calls=reply.tool_calls,
            thinking=reply.thinking,
            reasoning=reply.reasoning,
            at=now,
        )
        messages += (answer,)
    refused = generation.status is TurnStatus.REFUSED
    is_found = snapshot.preferences.memory_enabled and not refused
    return Turn(
        session_id=request.session,
        gen=snapshot.header.gen,
        epoch=snapshot.header.epoch,
        turn_id=request.turn_id,
        seq=snapshot.header.turn_count + 1,
        saw_seq=snapshot.header.turn_count,
        body_hash=attempt.body_hash,
        attempt=attempt.owner,
        status=generation.status,
        messages=messages,
        finish_reason=reply.finish_reason if reply else None,
        usage=reply.usage if reply else TokenUsage(),
        text=search_text(messages, snapshot.preferences.zone) if is_found else None,
        created_at=now,
        expires_at=expires_at,
    )
