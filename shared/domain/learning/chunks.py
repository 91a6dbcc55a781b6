"""A chunk: the part of a transcript that one model call summarises."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from pydantic import JsonValue

from shared.domain.messages import Message
from shared.domain.prompt import escape_data
from shared.domain.quarantine import Source, turn_source
from shared.domain.tokens import estimate_tokens
from shared.domain.turns import Turn, TurnStatus

MAX_INCLUDED_CHARS = 2000  # per message; a longer one is a pasted document: start and end suffice
MAX_TOOL_CHARS = 300  # per tool result: the reply that follows repeats what matters
MAX_TURN_INCLUDED_CHARS = 20_000  # per turn, shared by its messages: a turn is never split
TAIL_CHARS = 200  # kept from the end of a shortened text, at most half of what is kept
CUT = " … "


@dataclass(frozen=True, slots=True)
class Chunk:
    """Turns to summarise, and the seq up to which the transcript is then done.

    `upto` also covers turns that are not summarised.
    """

    turns: tuple[Turn, ...]
    upto: int

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources of the turns."""
        return tuple(turn_source(turn.session_id, turn.gen, turn.seq) for turn in self.turns)

    def without(self, excluded: Collection[Source]) -> "Chunk":
        """The same without these turns."""
        pairs = zip(self.turns, self.sources, strict=True)
        return Chunk(tuple(turn for turn, one in pairs if one not in excluded), self.upto)


def cut_chunk(turns: Sequence[Turn], now: datetime, *, upto: int, tokens: int) -> Chunk:
    """The oldest turns up to seq `upto` whose included parts fit into `tokens`, at least one.

    Turns without text (memory was switched off), refused and expired turns are skipped.
    """
    taken: list[Turn] = []
    reached, used = upto if not turns else 0, 0
    for turn in turns:
        if turn.seq > upto:
            return Chunk(tuple(taken), upto)  # the turns missing before it no longer exist
        if is_summarisable(turn, now):
            used += estimate_tokens(escape_data(included_messages(turn)))
            if taken and used > tokens:
                break
            taken.append(turn)
        reached = turn.seq
    return Chunk(tuple(taken), reached)


def is_summarisable(turn: Turn, now: datetime) -> bool:
    """Whether a summary may include the turn."""
    return turn.text is not None and turn.status is not TurnStatus.REFUSED and turn.expires_at > now


def included_messages(turn: Turn, zone: tzinfo = UTC) -> list[Mapping[str, JsonValue]]:
    """The messages of a turn that a summary includes, with long texts and tool results shortened.

    System messages and empty ones are left out. Dates are those of the user's time zone.
    """
    included = [
        message for message in turn.messages if message.role != "system" and message.content.strip()
    ]
    share = MAX_TURN_INCLUDED_CHARS // max(1, len(included))
    return [_render(message, share, zone) for message in included]


def _render(message: Message, share: int, zone: tzinfo) -> Mapping[str, JsonValue]:
    limit = min(share, MAX_TOOL_CHARS if message.role == "tool" else MAX_INCLUDED_CHARS)
    name = {"name": message.name} if message.name else {}
    return {
        "at": f"{message.at.astimezone(zone):%Y-%m-%d}",
        "role": message.role,
        **name,
        "content": _shorten(message.content.strip(), limit),
    }


def _shorten(text: str, limit: int) -> str:
    tail = min(TAIL_CHARS, limit // 2)
    return text if len(text) <= limit else f"{text[: limit - tail]}{CUT}{text[-tail:]}"
