"""Generation: the model's reply, whole or streamed to a reader who may leave."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from shared.domain.errors import ContentFiltered, ModelUnavailable, PromptFiltered
from shared.domain.ids import SessionId, TurnId
from shared.domain.prompt import ContextEntry, Prompt
from shared.domain.turns import TurnStatus
from shared.ports.models import ChatModel, ModelReply, ModelRequest
from shared.services.turns.answer import Answer
from shared.services.turns.attempt import CONTEXT_FILTERED, TurnAttempt
from shared.services.turns.context import Context
from shared.services.turns.stream import ContextEvent, DeltaEvent, DoneEvent, TurnStream


@dataclass(frozen=True, slots=True)
class Generation:
    """What the model produced; no reply if it was refused or never asked.

    `is_prompt_refused` if the provider's filter refused what the model was to be given.
    """

    reply: ModelReply | None
    status: TurnStatus
    is_prompt_refused: bool = False


Generate = Callable[[ModelRequest, Sequence[ContextEntry]], Awaitable[Generation]]


async def generate_in_time(
    generate: Generate, request: ModelRequest, context: Sequence[ContextEntry]
) -> Generation:
    """Generate within the request's seconds. A refusal by the provider is a result.

    Raises:
        ModelUnavailable: there was no reply in time.
    """
    try:
        async with asyncio.timeout(request.seconds):
            return await generate(request, context)
    except ContentFiltered as refused:
        reply = ModelReply(refused.refusal, "refusal") if refused.refusal else None
        return Generation(reply, TurnStatus.REFUSED, isinstance(refused, PromptFiltered))
    except TimeoutError as late:
        raise ModelUnavailable(
            "The model took too long; send the same request again", retry_after=2
        ) from late


async def generate_past_filter(
    attempt: TurnAttempt,
    generate: Generate,
    request: ModelRequest,
    context: Context,
    reserved_seconds: float,
) -> tuple[Prompt, Generation]:
    """Generate; once more without anything stored if the provider's filter refuses that (F48).

    Returns the prompt that the result belongs to. `reserved_seconds` are left for the commit.

    Raises:
        ModelUnavailable: there was no reply in time.
    """
    generation = await generate_in_time(generate, request, context.prompt.context)
    if not (generation.is_prompt_refused and context.prompt.context):
        return context.prompt, generation
    bare = context.bare()
    seconds = attempt.seconds_left - reserved_seconds
    again = replace(request, messages=bare.messages, seconds=seconds)
    generation = await generate_in_time(generate, again, bare.context)
    if not generation.is_prompt_refused:
        attempt.degraded.add(CONTEXT_FILTERED)
    return bare, generation


class StreamedGeneration:
    """Passes the reply on to a reader while the model writes it."""

    def __init__(
        self, model: ChatModel, stream: TurnStream, session: SessionId, turn_id: TurnId
    ) -> None:
        self._model = model
        self._stream = stream
        self._session = session
        self._turn_id = turn_id
        self._deltas: list[str] = []

    async def generate(self, request: ModelRequest, context: Sequence[ContextEntry]) -> Generation:
        """Generate to the end, or until the reader interrupts: then the text so far is the reply.

        Raises:
            ModelUnavailable: the reader interrupted before there was any text.
        """
        async with self._stream.generating(), aclosing(self._model.stream(request)) as parts:
            async for part in parts:
                if isinstance(part, ModelReply):
                    return Generation(part, TurnStatus.DONE)
                if not self._deltas:
                    await self._stream.send(ContextEvent(self._session, self._turn_id, context))
                self._deltas.append(part)
                await self._stream.send(DeltaEvent(part))
        if not self._deltas:
            raise ModelUnavailable(
                "The connection was closed before the model answered; send the same request again"
            )
        return Generation(ModelReply("".join(self._deltas), "interrupted"), TurnStatus.INTERRUPTED)

    async def finish(self, answer: Answer) -> None:
        """Send the stored answer, with the whole reply if nothing was streamed before."""
        reply = answer.turn.reply
        if not self._deltas:
            await self._stream.send(ContextEvent(self._session, self._turn_id, answer.context))
            await self._stream.send(DeltaEvent(reply))
        streamed = "".join(self._deltas) or reply
        await self._stream.send(DoneEvent(answer, replaced=streamed != reply))
