"""A conversation: one turn at a time, answered by the model or recorded from elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

from shared.domain.context import ContextEntry
from shared.domain.errors import Busy, ContentFiltered, StoreUnavailable, TooLarge, TurnInProgress
from shared.domain.ids import UserId
from shared.domain.turns import MAX_TURN_BYTES, Message, TurnStatus, stored_size
from shared.domain.vectors import Vector
from shared.ports.clock import Clock
from shared.ports.jobs import ConsolidationJob, JobQueue, QueueUnavailable
from shared.ports.model import ChatModel, ChatRequest
from shared.ports.preferences import PreferenceStore
from shared.prompts import read_prompt
from shared.services.commits import STORE_SECONDS, Settled
from shared.services.contexts import Contexts, Gathering
from shared.services.drafts import Retention, draft_turn
from shared.services.hearing import Hear, Heard, Retelling, hear_in_time
from shared.services.openings import Asked, Opened
from shared.services.questions import Question
from shared.services.timings import Timings
from shared.services.turn_protocol import TurnProtocol
from shared.services.turn_stream import Answer, TurnStream
from shared.telemetry.metrics import count_turn, time_retrieval

Result = TypeVar("Result")

PROMPT = "chat.v1"
TURN_SECONDS = 60.0  # the whole of a turn
STREAM_SECONDS = 180.0  # the whole of a turn that is read as it is written
FIRST_TOKEN_SECONDS = 15.0  # of a stream
CONSOLIDATED_EVERY = (
    10  # turns of a session that goes on: what leaves the history is in its summary by then
)
RENEW_AFTER = timedelta(days=1)  # preferences live on with use, written at most daily


class Conversation:
    """Takes turns: reads, asks the model, commits. A turn sent twice is stored once and answered the same."""

    def __init__(
        self,
        protocol: TurnProtocol,
        preferences: PreferenceStore,
        model: ChatModel,
        contexts: Contexts,
        jobs: JobQueue,
        clock: Clock,
        retention: Retention,
    ) -> None:
        """Take the protocol and the ports a turn needs."""
        self._protocol = protocol
        self._preferences = preferences
        self._model = model
        self._contexts = contexts
        self._jobs = jobs
        self._clock = clock
        self._retention = retention
        self._running: set[asyncio.Task[Any]] = set()

    async def ask(self, user: UserId, question: Question, patience: float | None = None) -> Answer:
        """Answer one message and store the turn; returns only when it is stored.

        With `patience`, a caller waits so many seconds; the turn goes on after that, and a resend collects the answer.

        Raises:
            ContentFiltered: the provider refused; the turn is stored as refused, also for every resend.
            TurnInProgress: the caller's patience, or the wait for another request, is over.
            TurnConflict, SessionErased, ModelUnavailable, StoreUnavailable, Busy: nothing is stored.
        """
        if patience is None:
            return await self._ask(user, question)
        task = self._start(self._ask(user, question))
        done, _ = await asyncio.wait({task}, timeout=patience)
        if not done:
            raise TurnInProgress(
                "The turn goes on; send it again to collect its answer", retry_after=1
            )
        return await task

    def stream(self, user: UserId, question: Question) -> TurnStream:
        """Begin a turn and hand out its events; a reader who leaves interrupts it, and what was said by then is stored.

        Receiving raises what `ask` raises.
        """
        stream = TurnStream()
        self._start(self._run_stream(user, question, stream))
        return stream

    async def record(self, user: UserId, asked: Asked, messages: Sequence[Message]) -> Settled:
        """Store a turn that was answered elsewhere; a repeat finds it stored.

        Raises:
            TooLarge: the messages pass 256 KB.
            TurnConflict, SessionErased, StoreUnavailable, Busy: as `ask`.
        """
        if stored_size(messages) > MAX_TURN_BYTES:
            raise TooLarge(f"A turn may have {MAX_TURN_BYTES} bytes of messages", target="messages")
        async with _deadline(
            TURN_SECONDS
        ):  # an import sends many at once, and they queue as chat turns do
            opened = await self._protocol.open(user, asked, self._clock.now())
            if isinstance(opened, Settled):
                return _counted(opened)
            async with self._protocol.holding(user, asked):
                unheard = Heard(None, TurnStatus.DONE)
                return _counted(await self._commit(user, asked, opened, messages, unheard))

    async def drain(self, seconds: float) -> None:
        """Let turns that nobody waits for come to their end, or end them after so long; a resend completes those."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _ask(self, user: UserId, question: Question) -> Answer:
        async def hear(request: ChatRequest, _: Sequence[ContextEntry]) -> Heard:
            return Heard(await self._model.reply(request), TurnStatus.DONE)

        return await self._take(user, question, TURN_SECONDS, hear)

    async def _run_stream(self, user: UserId, question: Question, stream: TurnStream) -> None:
        retelling = Retelling(self._model, stream, question.session, question.turn_id)
        try:
            await retelling.finish(await self._take(user, question, STREAM_SECONDS, retelling.hear))
        except Exception as failed:  # noqa: BLE001 - the reader gets it, whatever it is
            await stream.send(failed)

    def _start(self, work: Coroutine[None, None, Result]) -> asyncio.Task[Result]:
        """Run it to its end whoever waits for it; a task nobody holds may vanish."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # for those who no longer wait
        return task

    async def _take(self, user: UserId, question: Question, seconds: float, hear: Hear) -> Answer:
        timings = Timings()
        asked = question.asked(seconds)
        with timings.stage("total"):
            async with _deadline(seconds):
                with timings.stage("session"):
                    opened = await self._protocol.open(user, asked, self._clock.now())
                if isinstance(opened, Settled):
                    return _answer(opened, (), timings)
                system = [text for text in (read_prompt(PROMPT), question.instructions) if text]
                async with self._protocol.holding(user, asked):
                    with self._contexts.gathering(user, question, opened, system) as gathering:
                        return await self._take_opened(
                            user, question, asked, opened, gathering, hear, timings
                        )

    async def _take_opened(
        self,
        user: UserId,
        question: Question,
        asked: Asked,
        opened: Opened,
        gathering: Gathering,
        hear: Hear,
        timings: Timings,
    ) -> Answer:
        with timings.stage("recall"):
            given = await gathering.finish()
        time_retrieval(timings.seconds, cold=opened.cold)
        left = asked.seconds - STORE_SECONDS - timings.seconds
        request = ChatRequest(
            given.prompt.messages, question.tools, question.model, FIRST_TOKEN_SECONDS, left
        )
        with timings.stage("model"):
            heard = await hear_in_time(hear, request, given.prompt.context)
        with timings.stage("commit"):
            committing = self._commit(
                user, asked, opened, gathering.said, heard, gathering.vector()
            )
            settled, _ = await asyncio.gather(committing, self._renew(user, opened))
        if settled.replayed:
            return _answer(settled, (), timings)
        return _answer(settled.flagged(*given.degraded), given.prompt.context, timings)

    async def _commit(
        self,
        user: UserId,
        asked: Asked,
        opened: Opened,
        said: Sequence[Message],
        heard: Heard,
        vector: Vector | None = None,
    ) -> Settled:
        draft = draft_turn(asked, opened, said, heard, vector, self._clock.now(), self._retention)
        settled = await self._protocol.commit(user, asked, opened, draft)
        new_turns = settled.turn.seq - opened.header.consolidated_seq
        if draft.due_at and not settled.replayed and new_turns % CONSOLIDATED_EVERY == 0:
            self._start(self._queue(ConsolidationJob(user, asked.session)))
        return settled

    async def _queue(self, job: ConsolidationJob) -> None:
        with suppress(QueueUnavailable):  # the timer finds the session when it rests
            await self._jobs.put(job)

    async def _renew(self, user: UserId, opened: Opened) -> None:
        renewed = self._clock.now() + self._retention.turns
        expires_at = opened.preferences_expire_at
        if expires_at and renewed - expires_at > RENEW_AFTER:
            with suppress(
                StoreUnavailable, Busy
            ):  # the next turn renews them; this one must not fail for it
                await self._preferences.renew(user, renewed)


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as late:
        raise Busy(
            "The turn could not be stored in time; send the same request again", retry_after=1
        ) from late


def _counted(settled: Settled) -> Settled:
    """The settled turn, counted for telemetry."""
    count_turn(settled.turn.status.value, settled.degraded, replayed=settled.replayed)
    return settled


def _answer(settled: Settled, context: Sequence[ContextEntry], timings: Timings) -> Answer:
    turn = _counted(settled).turn
    if turn.status is TurnStatus.REFUSED:
        raise ContentFiltered(
            "The model's provider refused this message; the turn is kept as refused"
        )
    return Answer(turn, settled.replayed, context, settled.degraded, timings.stages)
