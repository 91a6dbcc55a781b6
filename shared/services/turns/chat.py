"""Chat turns, answered by the model, and turns recorded from elsewhere."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from shared.domain.deadlines import Deadlines
from shared.domain.errors import Busy, StoreUnavailable, TooLarge, TurnInProgress
from shared.domain.messages import stored_size
from shared.domain.prompt import ContextEntry
from shared.domain.quarantine import Source
from shared.domain.turns import MAX_TURN_BYTES, TurnStatus
from shared.domain.vectors import Vector
from shared.ports.jobs import ConsolidationJob, JobQueue, QueueUnavailable
from shared.ports.models import ChatModel, ModelRequest, TokenCounter
from shared.ports.preferences import PreferenceStore
from shared.ports.system import Clock
from shared.prompts import read_prompt
from shared.services.consolidation import QuarantineKeeper
from shared.services.recall import Recall
from shared.services.turns.admission import Admission
from shared.services.turns.answer import Answer, answer, counted
from shared.services.turns.attempt import CONTEXT_FILTERED, TurnAttempt, turn_deadline
from shared.services.turns.commit import TurnCommit
from shared.services.turns.context import build_context, start_search
from shared.services.turns.draft import Retention, draft_turn
from shared.services.turns.generation import (
    Generate,
    Generation,
    StreamedGeneration,
    generate_past_filter,
)
from shared.services.turns.lease import Leases
from shared.services.turns.opening import TurnOpening
from shared.services.turns.request import ChatRequest, RecordRequest
from shared.services.turns.stored_turn import StoredTurn
from shared.services.turns.stream import TurnStream
from shared.services.usage import SpendingCounter
from shared.telemetry.meter import current_meter
from shared.telemetry.metrics import time_retrieval

Result = TypeVar("Result")

PROMPT = "chat.v1"
CONSOLIDATED_EVERY = 10  # turns: what leaves the history is in the summary by then
RENEW_AFTER = timedelta(days=1)  # use extends the life of preferences, written at most daily


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatParts:
    """What a chat turn is made with: the stages of a turn, and the ports it calls itself."""

    admission: Admission
    opening: TurnOpening
    commit: TurnCommit
    leases: Leases
    recall: Recall
    quarantines: QuarantineKeeper
    model: ChatModel
    tokens: TokenCounter
    preferences: PreferenceStore
    jobs: JobQueue
    counter: SpendingCounter
    clock: Clock
    retention: Retention
    deadlines: Deadlines


class Chat:
    """Takes turns: opens, asks the model, commits. A turn sent twice is stored once."""

    def __init__(self, parts: ChatParts) -> None:
        self._parts = parts
        self._running: set[asyncio.Task[Any]] = set()

    async def ask(self, request: ChatRequest, patience: float | None = None) -> Answer:
        """Answer one message and store the turn; returns only once it is stored.

        With `patience`, the caller waits at most that many seconds. The turn continues after
        that, and a resend collects the answer.

        Raises:
            ContentFiltered: the provider refused; the turn is stored as refused, for resends too.
            TurnInProgress: the caller's patience, or the wait for another request, is over.
            TurnConflict, SessionErased, ModelUnavailable: nothing is stored.
            StoreUnavailable, Busy: it may be stored; a resend finds out.
        """
        if patience is None:
            return await self._ask(request)
        task = self._start(self._ask_in_background(request))
        done, _ = await asyncio.wait({task}, timeout=patience)
        if done:
            return await task
        if not self._parts.admission.has_admitted(task):
            task.cancel()
            raise Busy("The turn could not start in time; send the same request again")
        raise TurnInProgress(
            "The turn is still running; send it again to collect the answer", retry_after=1
        )

    def stream(self, request: ChatRequest) -> TurnStream:
        """Start a turn and return its events.

        A reader who leaves interrupts the turn, and what was said by then is stored. Receiving
        raises what `ask` raises.
        """
        stream = TurnStream()
        self._start(self._run_stream(request, stream))
        return stream

    async def record(self, request: RecordRequest) -> StoredTurn:
        """Store a turn that was answered elsewhere. Idempotent: a repeat finds it stored.

        Raises:
            TooLarge: the messages exceed 256 KB.
            TurnConflict, SessionErased, StoreUnavailable, Busy: as `ask`.
        """
        if stored_size(request.recorded) > MAX_TURN_BYTES:
            raise TooLarge(
                f"The messages exceed {MAX_TURN_BYTES} bytes; split the turn", target="messages"
            )
        parts, deadlines = self._parts, self._parts.deadlines
        # Without a model it rarely takes longer, but the turns of an import may have to queue.
        attempt = TurnAttempt(
            request, deadlines.turn, parts.clock.now(), lease_seconds=deadlines.commit
        )
        async with turn_deadline(deadlines.turn), parts.admission.admitted(request.user):
            stored = await parts.opening.open(attempt)
            if stored is None:
                async with parts.leases.held(attempt):
                    stored = await self._commit(attempt, Generation(None, TurnStatus.DONE))
        return counted(stored, attempt.degraded)

    async def drain(self) -> None:
        """Let turns that nobody waits for finish, or cancel them; resends complete those."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._parts.deadlines.drain)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _ask(self, request: ChatRequest) -> Answer:
        async def generate(asked: ModelRequest, _: Sequence[ContextEntry]) -> Generation:
            return Generation(await self._parts.model.reply(asked), TurnStatus.DONE)

        return await self._take(request, self._parts.deadlines.turn, generate)

    async def _ask_in_background(self, request: ChatRequest) -> Answer:
        async with self._parts.admission.background.entered(request.user):
            return await self._ask(request)

    async def _run_stream(self, request: ChatRequest, stream: TurnStream) -> None:
        streamed = StreamedGeneration(self._parts.model, stream, request.session, request.turn_id)
        seconds = self._parts.deadlines.stream
        try:
            await streamed.finish(await self._take(request, seconds, streamed.generate))
        except Exception as failed:  # noqa: BLE001 - the reader gets it, whatever it is
            await stream.send(failed)

    def _start(self, work: Coroutine[None, None, Result]) -> asyncio.Task[Result]:
        """Run a task to its end even if its caller leaves, and keep a reference to it."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # is retrieved
        return task

    async def _take(self, request: ChatRequest, seconds: float, generate: Generate) -> Answer:
        """Take one turn from its opening to its commit."""
        parts = self._parts
        attempt = TurnAttempt(request, seconds, parts.clock.now())
        timings, meter = attempt.timings, current_meter()
        meter.turns_in_progress += 1  # also once its caller has left
        try:
            with timings.stage("total"):
                async with turn_deadline(seconds), parts.admission.admitted(request.user):
                    with timings.stage("session"):
                        stored = await parts.opening.open(attempt)
                    if stored:
                        return answer(stored, attempt)
                    async with parts.leases.held(attempt):
                        return await self._take_opened(request, attempt, generate)
        finally:
            meter.turns_in_progress -= 1
            parts.counter.count(request.user, meter)

    async def _take_opened(
        self, request: ChatRequest, attempt: TurnAttempt, generate: Generate
    ) -> Answer:
        parts, timings = self._parts, attempt.timings
        system = [text for text in (read_prompt(PROMPT), request.instructions) if text]
        with start_search(parts.recall, attempt, request) as search:
            with timings.stage("recall"):
                async with parts.admission.work.entered(request.user):
                    context = await build_context(
                        attempt,
                        request,
                        search,
                        system,
                        parts.tokens.count,
                        with_tools=bool(request.tools),
                    )
            time_retrieval(timings.seconds, cold=attempt.snapshot.cold)
            asked = ModelRequest(
                context.prompt.messages,
                request.tools,
                request.model,
                parts.deadlines.first_token,
                attempt.seconds_left - parts.deadlines.commit,
            )
            with timings.stage("model"):
                prompt, generation = await generate_past_filter(
                    attempt, generate, asked, context, parts.deadlines.commit
                )
            with timings.stage("commit"):
                committing = self._commit(attempt, generation, search.vector())
                stored, _ = await asyncio.gather(committing, self._renew_preferences(attempt))
        if CONTEXT_FILTERED in attempt.degraded:
            self._start(self._suspect(attempt, context.prompt.sources))
        if stored.replayed:
            return answer(stored, attempt, attempt.degraded)
        return answer(stored, attempt, attempt.degraded.union(context.degraded), prompt.context)

    async def _suspect(self, attempt: TurnAttempt, sources: Sequence[Source]) -> None:
        """Leave what is stored out of further prompts until consolidation knows the culprit."""
        user, header = attempt.request.user, attempt.snapshot.header
        with suppress(StoreUnavailable, Busy):  # then the next turn suspects them
            await self._parts.quarantines.suspect(user, header.epoch, sources)
            await self._enqueue(ConsolidationJob(user, header.session_id))

    async def _commit(
        self, attempt: TurnAttempt, generation: Generation, vector: Vector | None = None
    ) -> StoredTurn:
        parts = self._parts
        draft = draft_turn(attempt, generation, vector, parts.clock.now(), parts.retention)
        stored = await parts.commit.commit(attempt, draft)
        new_turns = stored.turn.seq - attempt.snapshot.header.consolidated_seq
        if draft.due_at and not stored.replayed and new_turns % CONSOLIDATED_EVERY == 0:
            job = ConsolidationJob(attempt.request.user, attempt.request.session)
            self._start(self._enqueue(job))
        return stored

    async def _enqueue(self, job: ConsolidationJob) -> None:
        with suppress(QueueUnavailable):  # the timer finds the session once it is idle
            await self._parts.jobs.put(job)

    async def _renew_preferences(self, attempt: TurnAttempt) -> None:
        renewed = self._parts.clock.now() + self._parts.retention.turns
        expires_at = attempt.snapshot.preferences_expire_at
        if expires_at and renewed - expires_at > RENEW_AFTER:
            with suppress(StoreUnavailable, Busy):  # the next turn renews them
                await self._parts.preferences.renew(attempt.request.user, renewed)
