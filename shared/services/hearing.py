"""Hearing the model: its reply at once, or piece by piece for a reader who may leave."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from shared.domain.context import ContextEntry
from shared.domain.errors import ContentFiltered, ModelUnavailable
from shared.domain.ids import SessionId, TurnId
from shared.domain.turns import TurnStatus
from shared.ports.model import ChatModel, ChatReply, ChatRequest
from shared.services.turn_stream import Answer, Delta, Finished, Started, TurnStream


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of asking the model; without a reply it was refused, or never asked."""

    reply: ChatReply | None
    status: TurnStatus


Hear = Callable[[ChatRequest, Sequence[ContextEntry]], Awaitable[Heard]]


async def hear_in_time(hear: Hear, request: ChatRequest, context: Sequence[ContextEntry]) -> Heard:
    """What the model says while the request's seconds last.

    Raises:
        ModelUnavailable: there was no reply by then.
    """
    try:
        async with asyncio.timeout(request.seconds):
            return await hear(request, context)
    except ContentFiltered:
        return Heard(None, TurnStatus.REFUSED)
    except TimeoutError as late:
        raise ModelUnavailable(
            "The model took too long; send the same request again", retry_after=2
        ) from late


class Retelling:
    """Tells a reader what the model says while it says it."""

    def __init__(
        self, model: ChatModel, stream: TurnStream, session: SessionId, turn_id: TurnId
    ) -> None:
        """Begin with nothing told of this turn."""
        self._model = model
        self._stream = stream
        self._session = session
        self._turn_id = turn_id
        self._pieces: list[str] = []

    async def hear(self, request: ChatRequest, context: Sequence[ContextEntry]) -> Heard:
        """Hear the model to its end, or until the reader interrupts: then what was said by then is the reply.

        Raises:
            ModelUnavailable: the reader interrupted before anything was said.
        """
        async with self._stream.hearing(), aclosing(self._model.stream(request)) as parts:
            async for part in parts:
                if isinstance(part, ChatReply):
                    return Heard(part, TurnStatus.DONE)
                if not self._pieces:
                    await self._stream.send(Started(self._session, self._turn_id, context))
                self._pieces.append(part)
                await self._stream.send(Delta(part))
        if not self._pieces:
            raise ModelUnavailable(
                "Nobody waited for the answer, and none had come; send the same request again"
            )
        return Heard(ChatReply("".join(self._pieces), "interrupted"), TurnStatus.INTERRUPTED)

    async def finish(self, answer: Answer) -> None:
        """Tell what was stored; all of it where nothing was told before."""
        if not self._pieces:
            await self._stream.send(Started(self._session, self._turn_id, answer.context))
            await self._stream.send(Delta(answer.turn.reply))
        streamed = "".join(self._pieces) or answer.turn.reply
        await self._stream.send(Finished(answer, replaced=streamed != answer.turn.reply))
