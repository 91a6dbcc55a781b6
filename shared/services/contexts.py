"""Contexts: what the model is given for one turn, gathered while the turn is opened."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from shared.domain.context import Known, Prompt, build_prompt, select_history
from shared.domain.errors import InvalidRequest
from shared.domain.ids import UserId
from shared.domain.turns import Message, Turn, asked_text
from shared.domain.vectors import Vector
from shared.ports.clock import Clock
from shared.ports.model import TokenCount
from shared.prompts import read_prompt
from shared.services.openings import Opened
from shared.services.questions import Question
from shared.services.recall import Recall, Recalled, Search
from shared.telemetry.signals import record_relevance

PROMPT = "chat.v1"


@dataclass(frozen=True, slots=True)
class Given:
    """What the model is given, and what it has to do without."""

    prompt: Prompt
    degraded: tuple[str, ...]


class Contexts:
    """Makes contexts. Nothing is written, so twice is harmless."""

    def __init__(self, recall: Recall, tokens: TokenCount, clock: Clock) -> None:
        """Take recall, and what counts tokens."""
        self._recall = recall
        self._tokens = tokens
        self._clock = clock

    @contextmanager
    def gathering(self, user: UserId, question: Question) -> Iterator["Gathering"]:
        """Begin to recall for a question; what the context is wanted for happens in the block."""
        now = self._clock.now()
        said = question.said(now)
        texts = [read_prompt(PROMPT), question.instructions]
        system = [Message(role="system", content=text, at=now) for text in texts if text]
        sought = (question.message or "") if question.memory_tokens else ""
        with self._recall.searching(user, sought, asked_text(said)) as search:
            yield Gathering(question, system, said, search, self._tokens)


class Gathering:
    """A context on its way."""

    def __init__(
        self,
        question: Question,
        system: Sequence[Message],
        said: Sequence[Message],
        search: Search,
        tokens: TokenCount,
    ) -> None:
        """Take what was asked, and what is looked for."""
        self.said = said
        self._question = question
        self._system = system
        self._search = search
        self._tokens = tokens

    async def finish(self, opened: Opened) -> Given:
        """The context of an opened turn. With memory switched off there is nothing in it but preferences and history.

        Raises:
            InvalidRequest: it is about a tool's result that no call asked for.
        """
        history = select_history(opened.window, self._question.history_tokens, self._tokens.count)
        recalled = await self._recall(opened, history)
        prompt = build_prompt(
            system=self._system,
            known=self._known(opened, recalled),
            history=history,
            asked=self.said,
            memory_tokens=self._question.memory_tokens,
        )
        if self.said[-1] not in prompt.messages:
            message = "No tool call of the turn before has this tool_call_id; send the results of its calls"
            raise InvalidRequest(message, target="messages")
        record_relevance([entry.score for entry in prompt.context if entry.score is not None])
        return Given(prompt, recalled.degraded)

    def vector(self) -> Vector | None:
        """The vector of what was asked, if it is there by now."""
        return self._search.vector()

    async def _recall(self, opened: Opened, history: Sequence[Turn]) -> Recalled:
        if not opened.preferences.memory_enabled:
            return Recalled()
        return await self._search.finish(opened.header, history)

    @staticmethod
    def _known(opened: Opened, recalled: Recalled) -> Known:
        return replace(opened.known(), passages=recalled.passages)
