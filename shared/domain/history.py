"""History: the newest turns of a session, within a window and a budget."""

from collections.abc import Sequence

from shared.domain.tokens import Count, estimate_tokens
from shared.domain.turns import Turn, TurnStatus

MAX_WINDOW_TURNS = 20  # every turn reads the window
MAX_WINDOW_BYTES = 65_536  # 20 turns of 3 KB; older turns stay in the transcript
MAX_HISTORY_MESSAGES = 20  # the newest ones; the newest turn is included whole even if it has more
SURELY_WITHIN = 0.5  # an estimate below this share of the budget needs no exact count


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
    window: Sequence[Turn], history_tokens: int, count: Count = estimate_tokens
) -> tuple[Turn, ...]:
    """The newest whole turns within the budget and 20 messages, oldest first; always the newest.

    Refused turns are left out: the provider would refuse them again.
    """
    candidates = [turn for turn in window if turn.status is not TurnStatus.REFUSED]
    kept, estimate = _newest_within(candidates, history_tokens, estimate_tokens)
    if count is not estimate_tokens and estimate > history_tokens * SURELY_WITHIN:
        kept, _ = _newest_within(candidates, history_tokens, count)
    return tuple(reversed(kept))


def _newest_within(
    turns: Sequence[Turn], history_tokens: int, count: Count
) -> tuple[list[Turn], int]:
    """The newest turns that fit, newest first, and the tokens of all turns that were looked at."""
    kept: list[Turn] = []
    tokens = messages = 0
    for turn in reversed(turns):
        messages += len(turn.messages)
        if kept and messages > MAX_HISTORY_MESSAGES:
            break
        tokens += _tokens_of(turn, count)
        if kept and tokens > history_tokens:
            break
        kept.append(turn)
    return kept, tokens


def _tokens_of(turn: Turn, count: Count) -> int:
    return sum(count(text) for message in turn.messages for text in message.texts if text)
