"""Writes the summary of a piece of a transcript: by a model where there is one, else by choosing sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue, ValidationError

from shared.domain.context import render_data
from shared.domain.errors import ContentFiltered, InvalidRequest, ModelUnavailable
from shared.domain.extractive import MAX_EXTRACT_CHARS, extract, extract_title
from shared.domain.pieces import Piece, cut_piece, told
from shared.domain.summaries import MAX_SUMMARY_CHARS, Summary
from shared.domain.turns import Message, Turn
from shared.ports.clock import Clock
from shared.ports.model import ChatModel, ChatReply, ChatRequest
from shared.prompts import read_prompt
from shared.prompts.summarise import PROMPT, SummaryAnswer, answer_schema

CALL_SECONDS = 25.0  # of one call of the model: two of them, with the repair, fit into a consolidation's minute
MAX_QUOTED_CHARS = 4000  # of an answer that did not fit, when the model is shown it again


@dataclass(frozen=True, slots=True)
class SummaryModel:
    """Who is asked: a chat model, by the name of one of its models or None for its default."""

    chat: ChatModel
    name: str | None


class Summariser:
    """Makes a summary of the one before and what is new. Nothing is stored here, so doing it twice only costs."""

    def __init__(self, model: SummaryModel | None, clock: Clock, piece_tokens: int) -> None:
        """Take the model, without one every summary is extractive, and how many tokens are taken in at once."""
        self._model = model
        self._clock = clock
        self._piece_tokens = piece_tokens

    def cut(self, turns: Sequence[Turn], upto: int) -> Piece:
        """As much of these turns, up to this seq, as is summarised at once."""
        return cut_piece(turns, self._clock.now(), upto=upto, tokens=self._piece_tokens)

    async def summarise(
        self, earlier: Summary | None, piece: Piece, from_seq: int
    ) -> Summary | None:
        """The summary of everything up to the piece's end; the earlier one if there is nothing to tell.

        Extractive without a model, and where the model's provider refuses what was said (F16).

        Raises:
            ModelUnavailable: the model gave no usable answer, or twice one that is none (F15, F17).
        """
        if not piece.turns:
            return earlier
        if self._model:
            try:
                answer = await self._ask(self._model, earlier, piece)
            except ContentFiltered:
                pass
            else:
                return _summary(
                    earlier, piece, from_seq, answer.summary, answer.title, extractive=False
                )
        text = _extract(earlier, piece)
        title = (earlier.title if earlier else None) or extract_title(piece.turns)
        return _summary(earlier, piece, from_seq, text, title, extractive=True)

    async def _ask(
        self, model: SummaryModel, earlier: Summary | None, piece: Piece
    ) -> SummaryAnswer:
        turns: list[JsonValue] = [
            {"seq": turn.seq, "messages": [dict(line) for line in told(turn)]}
            for turn in piece.turns
        ]
        block = render_data(
            "conversation", {"notes": earlier.text if earlier else None, "turns": turns}
        )
        now = self._clock.now()
        request = ChatRequest(
            messages=(
                Message(role="system", content=read_prompt(PROMPT), at=now),
                Message(role="user", content=block, at=now),
            ),
            tools=(),
            model=model.name,
            first_token_seconds=CALL_SECONDS,
            seconds=CALL_SECONDS,
            schema=answer_schema(),
        )
        reply = await _reply(model.chat, request)
        try:
            return SummaryAnswer.model_validate_json(reply.text)
        except ValidationError as unfit:
            return await self._ask_again(model.chat, request, reply.text, unfit)

    async def _ask_again(
        self, chat: ChatModel, request: ChatRequest, unfit: str, why: ValidationError
    ) -> SummaryAnswer:
        """One try to repair an answer that does not fit."""
        now = self._clock.now()
        again: Sequence[Message] = (
            Message(role="assistant", content=unfit[:MAX_QUOTED_CHARS], at=now),
            Message(
                role="user",
                content=f"That does not fit: {_faults(why)}. Send the JSON object again.",
                at=now,
            ),
        )
        reply = await _reply(chat, replace(request, messages=(*request.messages, *again)))
        try:
            return SummaryAnswer.model_validate_json(reply.text)
        except ValidationError as still:
            raise ModelUnavailable("The model's summary does not fit its schema") from still


async def _reply(chat: ChatModel, request: ChatRequest) -> ChatReply:
    try:
        return await chat.reply(request)
    except InvalidRequest as refused:  # nobody's who calls us: the request is of our making
        raise ModelUnavailable(
            "The model takes no such transcript; choose another SUMMARY_MODEL"
        ) from refused


def _extract(earlier: Summary | None, piece: Piece) -> str:
    """Sentences of the earlier summary and of the piece; what a model noted stays whole, and they fill what is left."""
    if earlier is None or (earlier.extractive and len(earlier.text) <= MAX_EXTRACT_CHARS):
        return extract(earlier.text if earlier else None, piece.turns)
    added = extract(None, piece.turns, MAX_SUMMARY_CHARS - len(earlier.text))
    return f"{earlier.text}\n{added}" if added else earlier.text


def _summary(
    earlier: Summary | None,
    piece: Piece,
    from_seq: int,
    text: str,
    title: str | None,
    *,
    extractive: bool,
) -> Summary | None:
    """With its range, for as long as the newest turn it tells of lives; without a text it is the earlier one's."""
    if not text and earlier is None:
        return None
    newest = max(turn.expires_at for turn in piece.turns)
    return Summary(
        text=text or (earlier.text if earlier else ""),
        title=title,
        from_seq=earlier.from_seq if earlier else from_seq,
        to_seq=piece.upto,
        extractive=extractive,
        expires_at=max(newest, earlier.expires_at) if earlier else newest,
    )


def _faults(why: ValidationError) -> str:
    """What is wrong, by the schema's own fields and the rule; never a word of what was in it (F31)."""
    errors = why.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{_field_of(error['loc'])}: {error['type']}" for error in errors[:5])


def _field_of(place: Sequence[int | str]) -> str:
    return str(place[0]) if place and place[0] in SummaryAnswer.model_fields else "the object"
