"""A piece of a transcript: as much of what is new as one summary can take in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from shared.domain.messages import Message
from shared.domain.prompt import escape_data
from shared.domain.tokens import estimate_tokens
from shared.domain.turns import Turn, TurnStatus

MAX_INCLUDED_CHARS = (
    2000  # of a message; more is a pasted document, of which beginning and end say most
)
MAX_TOOL_CHARS = 300  # of a tool's result: what it answered is in the reply that follows
MAX_TURN_INCLUDED_CHARS = (
    20_000  # a turn is told in one piece: its messages share this, or a model could not take it in
)
TAIL_CHARS = 200  # of what is told of a long text, at most half of it
CUT = " … "


@dataclass(frozen=True, slots=True)
class Chunk:
    """Turns to summarise, and the seq up to which the transcript is dealt with then, silent turns included."""

    turns: tuple[Turn, ...]
    upto: int


def cut_chunk(turns: Sequence[Turn], now: datetime, *, upto: int, tokens: int) -> Chunk:
    """The oldest of the turns up to `upto` that fit into so many tokens as they are told, at least one.

    Turns off the record (they have no text), refused ones and expired ones are passed over.
    """
    taken: list[Turn] = []
    reached, used = upto if not turns else 0, 0
    for turn in turns:
        if turn.seq > upto:
            return Chunk(tuple(taken), upto)  # what is missing before it is gone for good
        if is_includable(turn, now):
            used += estimate_tokens(escape_data(included_messages(turn)))
            if taken and used > tokens:
                break
            taken.append(turn)
        reached = turn.seq
    return Chunk(tuple(taken), reached)


def is_includable(turn: Turn, now: datetime) -> bool:
    """Whether a summary may speak of the turn."""
    return turn.text is not None and turn.status is not TurnStatus.REFUSED and turn.expires_at > now


def included_messages(turn: Turn) -> list[Mapping[str, JsonValue]]:
    """What a summariser is told of a turn: who said what, long texts and tools' results shortened."""
    said = [
        message for message in turn.messages if message.role != "system" and message.content.strip()
    ]
    share = MAX_TURN_INCLUDED_CHARS // max(1, len(said))
    return [_line(message, share) for message in said]


def _line(message: Message, share: int) -> Mapping[str, JsonValue]:
    most = min(share, MAX_TOOL_CHARS if message.role == "tool" else MAX_INCLUDED_CHARS)
    named = {"name": message.name} if message.name else {}
    return {
        "at": f"{message.at:%Y-%m-%d}",
        "role": message.role,
        **named,
        "content": _shorten(message.content.strip(), most),
    }


def _shorten(text: str, most: int) -> str:
    tail = min(TAIL_CHARS, most // 2)
    return text if len(text) <= most else f"{text[: most - tail]}{CUT}{text[-tail:]}"
