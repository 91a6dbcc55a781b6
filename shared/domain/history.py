"""History: the newest turns of a session, within a window and a budget."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.messages import Message
from shared.domain.tokens import BYTES_PER_TOKEN, Count, estimate_tokens
from shared.domain.turns import Turn, TurnStatus

MAX_WINDOW_TURNS = 20  # every turn reads the window
MAX_WINDOW_BYTES = 65_536  # 20 turns of 3 KB; older turns stay in the transcript
MAX_HISTORY_MESSAGES = 80  # of 20 turns; more are tool loops, which their latest turns explain
KEPT_TURNS = 10  # that the summary covers stay in the history: the newest of them, word for word
STEP_TURNS = 5  # by which the start of the history advances, so that prompt caches stay valid
SURELY_WITHIN = 0.5  # an estimate below this share of the budget needs no exact count
GAP = "\n[... {characters} characters left out ...]\n"


@dataclass(frozen=True, slots=True)
class History:
    """The turns that a prompt includes, oldest first, and their messages.

    `incomplete` if the newest turn had to be shortened or left out to stay within the budget.
    """

    turns: tuple[Turn, ...] = ()
    messages: tuple[Message, ...] = ()
    incomplete: bool = False


def newest_run(turns: Sequence[Turn], *, upto: int) -> tuple[Turn, ...]:
    """The longest gapless run of turns that ends at `upto`, oldest first.

    Empty if that turn is missing. Turns below a gap are left out: they expired earlier than what
    came after them (ADR 7).
    """
    by_seq = {turn.seq: turn for turn in turns}
    run: list[Turn] = []
    while turn := by_seq.get(upto - len(run)):
        run.append(turn)
    return tuple(reversed(run))


def fit_window(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The newest of these turns within 20 turns and 64 KB, oldest first; always the newest."""
    kept: list[Turn] = []
    size = 0
    for turn in reversed(turns[-MAX_WINDOW_TURNS:]):
        size += turn.size
        if kept and size > MAX_WINDOW_BYTES:
            break
        kept.append(turn)
    return tuple(reversed(kept))


def select_history(
    window: Sequence[Turn],
    history_tokens: int,
    count: Count = estimate_tokens,
    *,
    consolidated_seq: int = 0,
) -> History:
    """Select the newest turns within the budget, which holds in every case.

    The start moves only when the summary does or the budget is short, and then in steps of five
    turns: the bytes before it stay the same from turn to turn. If not even the newest turn fits,
    its long texts lose their middle; if that does not help, it is left out. Refused turns are
    left out, because the provider would refuse them again.
    """
    turns = [turn for turn in window if turn.status is not TurnStatus.REFUSED]
    if not turns or history_tokens <= 0:
        return History()
    exact = _is_close(turns, history_tokens)
    counter = count if exact else estimate_tokens
    for start in _starts(window[0].seq, turns[-1].seq, consolidated_seq):
        selected = tuple(turn for turn in turns if turn.seq >= start)
        messages = _messages_of(selected)
        if len(messages) <= MAX_HISTORY_MESSAGES and _tokens(messages, counter) <= history_tokens:
            return History(selected, messages)
    return _shortened(turns[-1], history_tokens, counter)


def _starts(oldest: int, newest: int, consolidated_seq: int) -> Sequence[int]:
    """The seqs at which the history may start, in the order to try: at last the newest turn's.

    They are steps counted from the summary, not from the window, which moves on every turn.
    Leaving out turns before the first step is worth it only if enough remain.
    """
    first = max(1, consolidated_seq - KEPT_TURNS + 1)
    steps_passed = max(0, -(-(oldest - first) // STEP_TURNS))
    steps = range(first + steps_passed * STEP_TURNS, newest, STEP_TURNS)
    is_short = newest - oldest < KEPT_TURNS + STEP_TURNS
    return [*([max(first, oldest)] if is_short else ()), *steps, newest]


def _messages_of(turns: Sequence[Turn]) -> tuple[Message, ...]:
    """System messages stay in the transcript: stored text is never an instruction."""
    return tuple(m for turn in turns for m in turn.messages if m.role != "system")


def _is_close(turns: Sequence[Turn], history_tokens: int) -> bool:
    """Whether the window comes near the budget, so that an estimate does not do."""
    return _tokens(_messages_of(turns), estimate_tokens) > history_tokens * SURELY_WITHIN


def _tokens(messages: Sequence[Message], count: Count) -> int:
    return sum(count(text) for message in messages for text in message.texts if text)


def _shortened(turn: Turn, history_tokens: int, count: Count) -> History:
    """The turn with long texts cut in the middle; nothing if it does not fit even so."""
    messages = _messages_of([turn])
    share = history_tokens * BYTES_PER_TOKEN // (2 * len(messages)) if messages else 0
    cut = tuple(_cut(message, share) for message in messages)
    if not cut or _tokens(cut, count) > history_tokens:
        return History(incomplete=True)
    return History((turn,), cut, incomplete=True)


def _cut(message: Message, size: int) -> Message:
    """The message with about `size` bytes of content at most, without its middle."""
    text = message.content
    if len(text.encode()) <= size:
        return message
    half = size * len(text) // (2 * len(text.encode()))  # bytes to characters
    gap = GAP.format(characters=f"{len(text) - 2 * half:,}")
    return message.model_copy(update={"content": f"{text[:half]}{gap}{text[len(text) - half :]}"})
