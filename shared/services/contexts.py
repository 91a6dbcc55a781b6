"""Contexts: what the model is given for one turn."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from shared.domain.context import Prompt, build_prompt, select_history
from shared.domain.errors import InvalidRequest
from shared.domain.ids import UserId
from shared.domain.turns import Message, asked_text
from shared.domain.vectors import Vector
from shared.ports.clock import Clock
from shared.ports.model import TokenCount
from shared.services.openings import Opened
from shared.services.questions import Question
from shared.services.recall import Recall, Search
from shared.telemetry.metrics import record_relevance


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
    def gathering(
        self, user: UserId, question: Question, opened: Opened, system: Sequence[str]
    ) -> Iterator["Gathering"]:
        """Recall for an opened turn, under these system texts; what the context is wanted for happens in the block.

        With memory switched off nothing is searched for, and the message goes to no embedding model.
        """
        now = self._clock.now()
        said = question.said(now)
        above = [Message(role="system", content=text, at=now) for text in system]
        wanted = question.memory_tokens and opened.preferences.memory_enabled
        with self._recall.searching(
            user, (question.message or "") if wanted else "", asked_text(said)
        ) as search:
            yield Gathering(question, opened, above, said, search, self._tokens)


class Gathering:
    """A context on its way."""

    def __init__(
        self,
        question: Question,
        opened: Opened,
        system: Sequence[Message],
        said: Sequence[Message],
        search: Search,
        tokens: TokenCount,
    ) -> None:
        """Take what was asked, what is known, and what is looked for."""
        self.said = said
        self._question = question
        self._opened = opened
        self._system = system
        self._search = search
        self._tokens = tokens

    async def finish(self) -> Given:
        """The context. With memory switched off there is nothing in it but preferences and history.

        Raises:
            InvalidRequest: it is about a tool's result that no call asked for.
        """
        history = select_history(
            self._opened.window, self._question.history_tokens, self._tokens.count
        )
        recalled = await self._search.finish(self._opened.header, history)
        prompt = build_prompt(
            system=self._system,
            known=replace(self._opened.known(), recalled=recalled.ranked),
            history=history,
            asked=self.said,
            memory_tokens=self._question.memory_tokens,
        )
        if not all(said in prompt.messages for said in self.said):
            message = "No tool call of the turn before has this tool_call_id; send the results of its calls"
            raise InvalidRequest(message, target="messages")
        record_relevance([entry.score for entry in prompt.context if entry.score is not None])
        return Given(prompt, recalled.degraded)

    def vector(self) -> Vector | None:
        """The vector of what was asked, if it is there by now."""
        return self._search.vector()
