"""Writes the summary of a chunk of a transcript, with a model or by choosing sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue, ValidationError

from shared.domain.errors import ContentFiltered, InvalidRequest, ModelUnavailable
from shared.domain.learning.chunks import Chunk, cut_chunk, included_messages
from shared.domain.learning.extractive import MAX_EXTRACT_CHARS, extract, extract_title
from shared.domain.messages import Message
from shared.domain.prompt import render_data
from shared.domain.summaries import MAX_SUMMARY_CHARS, Summary
from shared.domain.turns import Turn
from shared.ports.models import ChatModel, ModelReply, ModelRequest
from shared.ports.system import Clock
from shared.prompts import read_prompt
from shared.prompts.summarise import PROMPT, SummaryAnswer, answer_schema

MAX_QUOTED_CHARS = 4000  # of an invalid answer, when the model is shown it again


@dataclass(frozen=True, slots=True)
class SummaryModel:
    """The model that summarises; `name` None means the chat model's default.

    `seconds` bounds one call: two of them, with the repair, fit into a consolidation.
    """

    chat: ChatModel
    name: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Summariser:
    """Turns the previous summary and what is new into a summary. Stores nothing.

    Without a model every summary is extractive. `chunk_tokens` bounds what one call takes in.
    """

    model: SummaryModel | None
    clock: Clock
    chunk_tokens: int

    def cut(self, turns: Sequence[Turn], upto: int) -> Chunk:
        """Cut off as many of these turns, up to this seq, as are summarised at once."""
        return cut_chunk(turns, self.clock.now(), upto=upto, tokens=self.chunk_tokens)

    async def summarise(
        self, earlier: Summary | None, chunk: Chunk, from_seq: int
    ) -> Summary | None:
        """Summarise everything up to the chunk's end; the earlier summary if nothing is new.

        Extractive without a model, and if the model's provider refuses the text (F16).

        Raises:
            ModelUnavailable: the model gave no usable answer, or an invalid one twice (F15, F17).
        """
        if not chunk.turns:
            return earlier
        if self.model:
            try:
                answer = await self._ask(self.model, earlier, chunk)
            except ContentFiltered:
                pass
            else:
                written = answer.summary, answer.title
                return _summary(earlier, chunk, from_seq, *written, extractive=False)
        text = _extract(earlier, chunk)
        title = (earlier.title if earlier else None) or extract_title(chunk.turns)
        return _summary(earlier, chunk, from_seq, text, title, extractive=True)

    async def _ask(
        self, model: SummaryModel, earlier: Summary | None, chunk: Chunk
    ) -> SummaryAnswer:
        request = self._request(model, earlier, chunk)
        reply = await _reply(model.chat, request)
        try:
            return SummaryAnswer.model_validate_json(reply.text)
        except ValidationError as invalid:
            return await self._ask_again(model.chat, request, reply.text, invalid)

    def _request(self, model: SummaryModel, earlier: Summary | None, chunk: Chunk) -> ModelRequest:
        turns: list[JsonValue] = [
            {"seq": turn.seq, "messages": [dict(message) for message in included_messages(turn)]}
            for turn in chunk.turns
        ]
        notes = earlier.text if earlier else None
        block = render_data("conversation", {"notes": notes, "turns": turns})
        now = self.clock.now()
        return ModelRequest(
            messages=(
                Message(role="system", content=read_prompt(PROMPT), at=now),
                Message(role="user", content=block, at=now),
            ),
            tools=(),
            model=model.name,
            first_token_seconds=model.seconds,
            seconds=model.seconds,
            schema=answer_schema(),
        )

    async def _ask_again(
        self, chat: ChatModel, request: ModelRequest, invalid: str, why: ValidationError
    ) -> SummaryAnswer:
        """Make one attempt to repair an invalid answer."""
        now = self.clock.now()
        repair = f"This does not fit the schema: {_faults(why)}. Send the JSON object again."
        again: Sequence[Message] = (
            Message(role="assistant", content=invalid[:MAX_QUOTED_CHARS], at=now),
            Message(role="user", content=repair, at=now),
        )
        reply = await _reply(chat, replace(request, messages=(*request.messages, *again)))
        try:
            return SummaryAnswer.model_validate_json(reply.text)
        except ValidationError as still:
            raise ModelUnavailable("The model's summary does not fit its schema") from still


async def _reply(chat: ChatModel, request: ModelRequest) -> ModelReply:
    try:
        return await chat.reply(request)
    except InvalidRequest as refused:  # no caller's fault: the request is ours
        raise ModelUnavailable(
            "The model rejects this transcript; choose another SUMMARY_MODEL"
        ) from refused


def _extract(earlier: Summary | None, chunk: Chunk) -> str:
    """Choose sentences of the earlier summary and of the chunk.

    What a model wrote stays whole, and sentences fill the remaining room.
    """
    if earlier is None or (earlier.extractive and len(earlier.text) <= MAX_EXTRACT_CHARS):
        return extract(earlier.text if earlier else None, chunk.turns)
    added = extract(None, chunk.turns, MAX_SUMMARY_CHARS - len(earlier.text))
    return f"{earlier.text}\n{added}" if added else earlier.text


def _summary(
    earlier: Summary | None,
    chunk: Chunk,
    from_seq: int,
    text: str,
    title: str | None,
    *,
    extractive: bool,
) -> Summary | None:
    """A summary with its range that expires with its newest turn; no text: the earlier one's."""
    if not text and earlier is None:
        return None
    newest = max(turn.expires_at for turn in chunk.turns)
    return Summary(
        text=text or (earlier.text if earlier else ""),
        title=title,
        from_seq=earlier.from_seq if earlier else from_seq,
        to_seq=chunk.upto,
        extractive=extractive,
        expires_at=max(newest, earlier.expires_at) if earlier else newest,
    )


def _faults(why: ValidationError) -> str:
    """What is wrong, by field and rule of the schema; never a word of the answer (F31)."""
    errors = why.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{_field_of(error['loc'])}: {error['type']}" for error in errors[:5])


def _field_of(place: Sequence[int | str]) -> str:
    return str(place[0]) if place and place[0] in SummaryAnswer.model_fields else "the object"
