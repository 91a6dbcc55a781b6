"""The filter probe: asks the model's provider whether its filter accepts stored texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.errors import CompletionLimitReached, ContentFiltered, PromptFiltered
from shared.domain.messages import Message
from shared.domain.prompt import render_data
from shared.ports.models import ChatModel, ModelRequest
from shared.ports.system import Clock
from shared.prompts import read_prompt

PROMPT = "probe.v1"


@dataclass(frozen=True, slots=True)
class FilterProbe:
    """Sends texts to the chat model, as data of a prompt that asks for one word."""

    chat: ChatModel
    clock: Clock
    seconds: float

    async def accepts(self, texts: Sequence[str], model: str | None) -> bool:
        """Whether a prompt with these texts passes the filter of this model; None: the default.

        Raises:
            ModelUnavailable, InvalidRequest: it could not be found out.
        """
        now = self.clock.now()
        request = ModelRequest(
            messages=(
                Message(role="system", content=read_prompt(PROMPT), at=now),
                Message(role="user", content=render_data("stored_texts", list(texts)), at=now),
            ),
            tools=(),
            model=model,
            first_token_seconds=self.seconds,
            seconds=self.seconds,
        )
        try:
            await self.chat.reply(request)
        except PromptFiltered:
            return False
        except (ContentFiltered, CompletionLimitReached):
            return True  # about the reply
        return True
