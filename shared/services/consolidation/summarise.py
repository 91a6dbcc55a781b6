"""Writes the summary of a chunk of a transcript, with a model or by choosing sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo

from pydantic import JsonValue

from shared.domain.errors import CompletionLimitReached, InvalidRequest
from shared.domain.learning.chunks import Chunk, cut_chunk, included_messages
from shared.domain.learning.extractive import MAX_EXTRACT_CHARS, extract, extract_title
from shared.domain.messages import Message
from shared.domain.prompt import render_data
from shared.domain.summaries import MAX_SUMMARY_CHARS, Summary
from shared.domain.turns import Turn
from shared.ports.models import ChatModel, ModelRequest
from shared.ports.system import Clock
from shared.prompts import read_prompt
from shared.prompts.summarise import (
    PROMPT,
    InvalidAnswer,
    SummaryAnswer,
    answer_schema,
    read_answer,
)
from shared.telemetry import log_failure

# A later try would end the same: the model cannot do what is asked.
UNUSABLE = (InvalidRequest, CompletionLimitReached, InvalidAnswer)
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
        self, earlier: Summary | None, chunk: Chunk, from_seq: int, zone: tzinfo
    ) -> Summary | None:
        """Summarise everything up to the chunk's end; the earlier summary if nothing is new.

        The model is given the day on which each message was said, in this time zone.

        Extractive without a model, and if the model gives no usable answer twice (F17): nothing
        stays due for such a reason.

        Raises:
            ContentFiltered: the model's provider refuses the text, and the caller has to do
                without the model (F16).
            ModelUnavailable: the model could not be reached or is overloaded (F15).
        """
        if not chunk.turns:
            return earlier
        answer = await self._ask(self.model, earlier, chunk, zone) if self.model else None
        if answer:
            written = answer.summary, answer.title
            return _summary(earlier, chunk, from_seq, *written, extractive=False)
        return self.extract(earlier, chunk, from_seq)

    def extract(
        self,
        earlier: Summary | None,
        chunk: Chunk,
        from_seq: int,
        *,
        source_refused: bool = False,
    ) -> Summary | None:
        """Summarise in sentences that were said; `source_refused` if some may not be used."""
        if not chunk.turns:
            return earlier
        text = _extract(earlier, chunk)
        title = (earlier.title if earlier else None) or extract_title(chunk.turns)
        summary = _summary(earlier, chunk, from_seq, text, title, extractive=True)
        refused = source_refused or bool(earlier and earlier.source_refused)
        return summary and summary.model_copy(update={"source_refused": refused})

    async def _ask(
        self, model: SummaryModel, earlier: Summary | None, chunk: Chunk, zone: tzinfo
    ) -> SummaryAnswer | None:
        """Ask the model, and once more if its answer is invalid; None if it does not answer."""
        request = self._request(model, earlier, chunk, zone)
        try:
            text = (await model.chat.reply(request)).text
            try:
                return read_answer(text)
            except InvalidAnswer as invalid:
                again = self._repair(request, text, invalid)
                return read_answer((await model.chat.reply(again)).text)
        except UNUSABLE as failed:
            log_failure("summary_not_usable", failed)
            return None

    def _request(
        self, model: SummaryModel, earlier: Summary | None, chunk: Chunk, zone: tzinfo
    ) -> ModelRequest:
        turns: list[JsonValue] = [
            {"seq": turn.seq, "messages": [dict(one) for one in included_messages(turn, zone)]}
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

    def _repair(self, request: ModelRequest, invalid: str, why: InvalidAnswer) -> ModelRequest:
        """Ask for the object again; never with a word of the answer in our own voice (F31)."""
        now = self.clock.now()
        again: Sequence[Message] = (
            Message(role="assistant", content=invalid[:MAX_QUOTED_CHARS] or "{}", at=now),
            Message(role="user", content=f"This is not {why}. Send the JSON object again.", at=now),
        )
        return replace(request, messages=(*request.messages, *again))


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
