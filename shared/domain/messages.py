"""Messages: what one role said, called or answered."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

MAX_MESSAGE_BYTES = 32_768  # a long page of text; ten of them are a turn


class Stored(BaseModel):
    """A value that is stored as JSON exactly as it is declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class FunctionCall(Stored):
    """The function a model asks for; its arguments are JSON text, as the model wrote them."""

    name: str
    arguments: str


class ToolCall(Stored):
    """One tool call of an assistant message.

    `provider_id` is the provider's own id if it could not be used; `extra` holds its own fields.
    Both are opaque, and are sent back to the provider.
    """

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall
    provider_id: str | None = None
    extra: dict[str, JsonValue] | None = None


class Message(Stored):
    """One role's text, or an assistant's tool calls, or the result of a tool.

    `thinking` came before the reply and is not part of it. `reasoning` goes with tool calls, and
    is sent back to the provider, which needs it there.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    thinking: str | None = None
    reasoning: str | None = None
    at: datetime

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that counts against a budget: content, names and tool calls."""
        calls = (
            f"{call.id}{call.function.name}{call.function.arguments}" for call in self.tool_calls
        )
        return (self.content, self.name or "", self.tool_call_id or "", *calls)

    @property
    def size(self) -> int:
        """Size of its texts in bytes of UTF-8."""
        return sum(len(text.encode()) for text in self.texts)


def stored_size(messages: Sequence[Message]) -> int:
    """Size of the messages as stored JSON, in bytes: the figure that a turn's limit applies to."""
    return len(_message_list().dump_json(list(messages), exclude_defaults=True))


@cache
def _message_list() -> TypeAdapter[list[Message]]:
    return TypeAdapter(list[Message])
