"""The context of a turn: what the model is given, and what it has to do without."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from shared.domain.errors import InvalidRequest
from shared.domain.history import select_history
from shared.domain.messages import Message
from shared.domain.prompt import Prompt, build_prompt
from shared.domain.recall.search_text import question_text
from shared.domain.tokens import Count
from shared.services.recall import Recall, Search
from shared.services.turns.attempt import TurnAttempt
from shared.services.turns.request import ChatRequest
from shared.telemetry.metrics import record_relevance


@dataclass(frozen=True, slots=True)
class Context:
    """The prompt of a turn; `degraded` names what is missing from it."""

    prompt: Prompt
    degraded: Sequence[str]


def start_search(
    recall: Recall, attempt: TurnAttempt, request: ChatRequest
) -> AbstractContextManager[Search]:
    """Search for the request's message; the block is where the context is used.

    With memory switched off, or no budget for it, nothing is searched for or embedded.
    """
    wanted = request.memory_tokens and attempt.snapshot.preferences.memory_enabled
    question = request.message or "" if wanted else ""
    return recall.searching(request.user, question, question_text(attempt.messages))


async def build_context(
    attempt: TurnAttempt, request: ChatRequest, search: Search, system: Sequence[str], count: Count
) -> Context:
    """Select history, finish the search, and assemble the prompt below these system texts.

    With memory switched off the search finds nothing, and only preferences and history go in.

    Raises:
        InvalidRequest: a tool result in the request answers no call of the previous turn.
    """
    snapshot = attempt.snapshot
    history = select_history(snapshot.window, request.history_tokens, count)
    found = await search.finish(snapshot.header, history)
    prompt = build_prompt(
        system=[Message(role="system", content=text, at=attempt.now) for text in system],
        memory=replace(snapshot.memory, recalled=found.ranked),
        history=history,
        new_messages=attempt.messages,
        memory_tokens=request.memory_tokens,
    )
    if not all(message in prompt.messages for message in attempt.messages):
        raise InvalidRequest(
            "No tool call of the previous turn has this tool_call_id; send results of its calls",
            target="messages",
        )
    record_relevance([entry.score for entry in prompt.context if entry.score is not None])
    return Context(prompt, found.degraded)
