"""The context of a turn: what the model is given, and what it has to do without."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from shared.domain.errors import InvalidRequest
from shared.domain.history import History, select_history
from shared.domain.messages import Message
from shared.domain.preferences import Preferences
from shared.domain.prompt import Memory, Prompt, build_prompt
from shared.domain.quarantine import Source, turn_source
from shared.domain.recall.search_text import question_text
from shared.domain.tokens import Count
from shared.domain.turns import Turn
from shared.services.recall import Recall, Search
from shared.services.turns.attempt import TurnAttempt
from shared.services.turns.request import ChatRequest
from shared.telemetry.metrics import record_relevance

HISTORY_INCOMPLETE = "history"
MAX_SHOWN_ID = 64  # characters of a provider's id in an error


@dataclass(frozen=True, slots=True)
class Context:
    """The prompt of a turn; `degraded` names what is missing from it.

    `bare` makes the prompt without anything stored, for a provider that refuses what is stored.
    """

    prompt: Prompt
    degraded: Sequence[str]
    bare: Callable[[], Prompt]


def start_search(
    recall: Recall, attempt: TurnAttempt, request: ChatRequest
) -> AbstractContextManager[Search]:
    """Search for the request's message; the block is where the context is used.

    With memory switched off, or no budget for it, nothing is searched for or embedded.
    """
    preferences = attempt.snapshot.preferences
    wanted = request.memory_tokens and preferences.memory_enabled
    question = request.message or "" if wanted else ""
    turn_text = question_text(attempt.messages, preferences.zone)
    return recall.searching(request.user, question, turn_text)


async def build_context(
    attempt: TurnAttempt,
    request: ChatRequest,
    search: Search,
    system: Sequence[str],
    count: Count,
    *,
    with_tools: bool,
) -> Context:
    """Select history, finish the search, and assemble the prompt below these system texts.

    With memory switched off the search finds nothing, and only preferences and history go in.

    Raises:
        InvalidRequest: the tool results are not those of the previous turn's calls.
    """
    snapshot = attempt.snapshot
    window, calls = take_calls(snapshot.window) if request.results else (snapshot.window, ())
    _check_results(request, calls)
    history = select_history(
        [turn for turn in window if _source_of(turn) not in snapshot.quarantine],
        request.history_tokens,
        count,
        consolidated_seq=snapshot.header.consolidated_seq,
    )
    found = await search.finish(snapshot.header, history.turns, snapshot.quarantine)
    build = partial(
        build_prompt,
        system=[Message(role="system", content=text, at=attempt.now) for text in system],
        new_messages=(*calls, *attempt.messages),
        memory_tokens=request.memory_tokens,
        with_tools=with_tools,
    )
    prompt = build(
        memory=replace(snapshot.memory, recalled=found.ranked),
        history=history,
        loop_start=_loop_start(snapshot.loop_turn, history.turns),
    )
    bare = partial(
        build,
        memory=Memory(Preferences()),
        history=History(),
        loop_start=_loop_start(snapshot.loop_turn, ()),
    )
    record_relevance([entry.score for entry in prompt.context if entry.score is not None])
    degraded = (HISTORY_INCOMPLETE,) if history.incomplete else ()
    return Context(prompt, (*degraded, *found.degraded), bare)


def take_calls(window: Sequence[Turn]) -> tuple[Sequence[Turn], tuple[Message, ...]]:
    """The window without the calls that the newest turn ends with, and these calls.

    They belong to the results that the request brings: the model never sees half of a pair.
    """
    newest = window[-1] if window else None
    if newest is None or not newest.messages[-1].tool_calls:
        return window, ()
    rest = replace(newest, messages=newest.messages[:-1])
    return (*window[:-1], rest), newest.messages[-1:]


def _source_of(turn: Turn) -> Source:
    return turn_source(turn.session_id, turn.gen, turn.seq)


def _check_results(request: ChatRequest, calls: Sequence[Message]) -> None:
    called = [call.id for message in calls for call in message.tool_calls]
    answered = {result.tool_call_id for result in request.results}
    if answered - set(called):
        raise InvalidRequest(
            "No tool call of the previous turn has this tool_call_id; send results of its calls",
            target="messages",
        )
    if missing := [call for call in called if call not in answered]:
        raise InvalidRequest(
            f"The result of the tool call {missing[0][:MAX_SHOWN_ID]} is missing; "
            "send the results of all calls of the previous turn at once",
            target="messages",
        )


def _loop_start(turn: Turn | None, history: Sequence[Turn]) -> tuple[Message, ...]:
    """The user's message that started the tool loop, unless the history includes it."""
    if turn is None or any(included.turn_id == turn.turn_id for included in history):
        return ()
    return tuple(message for message in turn.messages if message.role == "user")
