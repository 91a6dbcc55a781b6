"""A conversation: one turn at a time, answered by the model or recorded from elsewhere."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import JsonValue

from shared.domain.context import ContextEntry, build_prompt
from shared.domain.errors import Busy, ContentFiltered, StoreUnavailable, TooLarge
from shared.domain.ids import SessionId, TurnId, UserId
from shared.domain.turns import MAX_TURN_BYTES, Message, TokenUsage, Turn, TurnStatus, body_hash, search_text
from shared.ports import ChatModel, ChatReply, ChatRequest, Clock, PreferenceStore
from shared.prompts import read_prompt
from shared.services.turn_protocol import Asked, Opened, Settled, TurnProtocol

TURN_SECONDS = 60.0  # the whole of a turn
STORE_SECONDS = 3.0  # of which everything that is not the model may take these
RENEW_AFTER = timedelta(days=1)  # preferences live on with use, written at most daily


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept: `turns` and preferences by default, `unremembered` with memory switched off.

    A session is due for consolidation when it was idle for `due_after`.
    """

    turns: timedelta
    unremembered: timedelta
    due_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A chat turn as the caller sent it."""

    session: SessionId
    turn_id: TurnId
    message: str
    instructions: str | None
    agent_id: str | None
    namespace: str | None
    metadata: Mapping[str, JsonValue] | None
    model: str | None
    history_tokens: int

    def asked(self) -> Asked:
        """What identifies the turn; model and budgets are not part of it, so a resend may change them."""
        digest = body_hash(
            {
                "message": self.message,
                "instructions": self.instructions,
                "agent_id": self.agent_id,
                "namespace": self.namespace,
                "metadata": dict(self.metadata) if self.metadata else None,
            }
        )
        return Asked(self.session, self.turn_id, digest, TURN_SECONDS, self.agent_id)


@dataclass(slots=True)
class Timings:
    """Milliseconds by stage."""

    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage, also when it fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stages[name] = round((time.perf_counter() - start) * 1000, 1)


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored turn, what its model was given, and how it went."""

    turn: Turn
    replayed: bool
    context: Sequence[ContextEntry]
    degraded: Sequence[str]
    timings: Mapping[str, float]


class Conversation:
    """Takes turns: reads, asks the model, commits. A turn sent twice is stored once and answered the same."""

    def __init__(
        self, protocol: TurnProtocol, preferences: PreferenceStore, model: ChatModel, clock: Clock, retention: Retention
    ) -> None:
        """Take the protocol and the ports a turn needs."""
        self._protocol = protocol
        self._preferences = preferences
        self._model = model
        self._clock = clock
        self._retention = retention

    async def ask(self, user: UserId, question: Question) -> Answer:
        """Answer one message and store the turn; returns only when it is stored.

        Raises:
            ContentFiltered: the provider refused; the turn is stored as refused, also for every resend.
            TurnConflict, SessionErased, ModelUnavailable, StoreUnavailable, Busy: nothing is stored.
        """
        timings = Timings()
        with timings.stage("total"):
            async with _deadline(TURN_SECONDS):
                return await self._ask(user, question, timings)

    async def record(self, user: UserId, asked: Asked, messages: Sequence[Message]) -> Settled:
        """Store a turn that was answered elsewhere; a repeat finds it stored.

        Raises:
            TooLarge: the messages pass 256 KB.
            TurnConflict, SessionErased, StoreUnavailable, Busy: as `ask`.
        """
        if sum(message.size for message in messages) > MAX_TURN_BYTES:
            raise TooLarge(f"A turn may have {MAX_TURN_BYTES} bytes of messages", target="messages")
        async with _deadline(STORE_SECONDS):
            opened = await self._protocol.open(user, asked, self._clock.now())
            if isinstance(opened, Settled):
                return opened
            async with self._protocol.holding(user, asked):
                turn = self._draft(asked, opened, messages, TurnStatus.DONE)
                return await self._commit(user, asked, opened, turn)

    async def _ask(self, user: UserId, question: Question, timings: Timings) -> Answer:
        asked = question.asked()
        with timings.stage("session"):
            opened = await self._protocol.open(user, asked, self._clock.now())
        if isinstance(opened, Settled):
            return _answer(opened, (), timings)
        said = Message(role="user", content=question.message, at=self._clock.now())
        prompt = build_prompt(
            system=self._system(question),
            preferences=opened.preferences,
            window=opened.window,
            asked=[said],
            history_tokens=question.history_tokens,
        )
        request = ChatRequest(prompt.messages, question.model, TURN_SECONDS - STORE_SECONDS)
        async with self._protocol.holding(user, asked):
            with timings.stage("model"):
                reply = await self._reply(request)
            turn = self._turn(asked, opened, said, reply)
            with timings.stage("commit"):
                settled, _ = await asyncio.gather(self._commit(user, asked, opened, turn), self._renew(user, opened))
        return _answer(settled, prompt.context, timings)

    async def _reply(self, request: ChatRequest) -> ChatReply | None:
        try:
            return await self._model.reply(request)
        except ContentFiltered:
            return None

    def _system(self, question: Question) -> list[Message]:
        texts = [read_prompt("chat.v1"), question.instructions]
        return [Message(role="system", content=text, at=self._clock.now()) for text in texts if text]

    def _turn(self, asked: Asked, opened: Opened, said: Message, reply: ChatReply | None) -> Turn:
        if reply is None:
            return self._draft(asked, opened, [said], TurnStatus.REFUSED)
        answered = Message(role="assistant", content=reply.text, at=self._clock.now())
        return self._draft(asked, opened, [said, answered], TurnStatus.DONE, reply.finish_reason, reply.usage)

    def _draft(
        self,
        asked: Asked,
        opened: Opened,
        messages: Sequence[Message],
        status: TurnStatus,
        finish_reason: str | None = None,
        usage: TokenUsage | None = None,
    ) -> Turn:
        now = self._clock.now()
        remembered = opened.preferences.memory_enabled
        return Turn(
            session_id=asked.session,
            gen=opened.header.gen,
            epoch=opened.header.epoch,
            turn_id=asked.turn_id,
            seq=opened.header.turn_count + 1,
            saw_seq=opened.header.turn_count,
            body_hash=asked.body_hash,
            status=status,
            messages=tuple(messages),
            finish_reason=finish_reason,
            usage=usage or TokenUsage(),
            text=search_text(messages) if remembered else None,
            created_at=now,
            expires_at=now + self._lifetime(opened),
        )

    def _lifetime(self, opened: Opened) -> timedelta:
        if not opened.preferences.memory_enabled:
            return self._retention.unremembered
        own = opened.header.ttl_seconds
        return timedelta(seconds=own) if own else self._retention.turns

    async def _commit(self, user: UserId, asked: Asked, opened: Opened, turn: Turn) -> Settled:
        remembered = opened.preferences.memory_enabled
        due_at: datetime | None = turn.created_at + self._retention.due_after if remembered else None
        return await self._protocol.commit(user, asked, opened, turn, due_at)

    async def _renew(self, user: UserId, opened: Opened) -> None:
        renewed = self._clock.now() + self._retention.turns
        expires_at = opened.preferences_expire_at
        if expires_at and renewed - expires_at > RENEW_AFTER:
            with suppress(StoreUnavailable):  # the next turn renews them; this one must not fail for it
                await self._preferences.renew(user, renewed)


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as late:
        raise Busy("The turn could not be stored in time; send the same request again", retry_after=1) from late


def _answer(settled: Settled, context: Sequence[ContextEntry], timings: Timings) -> Answer:
    turn = settled.turn
    if turn.status is TurnStatus.REFUSED:
        raise ContentFiltered("The model's provider refused this message; the turn is kept as refused")
    return Answer(turn, settled.replayed, context, settled.degraded, timings.stages)
