"""Messages on the wire: as callers send them, and as they are returned."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from shared.domain.messages import FunctionCall, Message, ToolCall
from shared.http.schemas.fields import Closed, Instant, LongContent, LongText, Name

MAX_TOOL_CALLS = 128  # as many as a chat turn's tools
Role = Literal["system", "user", "assistant", "tool"]
SDK_FIELDS = frozenset(
    {"annotations", "audio", "function_call", "parsed", "reasoning", "reasoning_content", "refusal"}
)


def _known_role(role: object) -> object:
    """Newer APIs call the system role developer."""
    return "system" if role == "developer" else role


class FunctionCallBody(Closed):
    """The function that a model called, with its arguments as JSON text."""

    name: Name
    arguments: LongText


class ToolCallBody(Closed):
    """One tool call of an assistant message."""

    id: Name
    type: Literal["function"] = "function"
    function: FunctionCallBody

    def to_tool_call(self) -> ToolCall:
        """The tool call as it is stored."""
        function = FunctionCall(name=self.function.name, arguments=self.function.arguments)
        return ToolCall(id=self.id, function=function)


class MessageBody(Closed):
    """A message of a turn that was answered elsewhere, as SDKs dump it too."""

    ignored = SDK_FIELDS

    role: Annotated[Role, BeforeValidator(_known_role)]
    content: LongContent = ""
    name: Name | None = None
    tool_calls: Annotated[tuple[ToolCallBody, ...], Field(max_length=MAX_TOOL_CALLS)] = ()
    tool_call_id: Name | None = None
    at: Instant | None = None

    def to_message(self, at: datetime) -> Message:
        """The message as it is stored, with its own time or else this one."""
        return Message(
            role=self.role,
            content=self.content,
            name=self.name,
            tool_calls=tuple(call.to_tool_call() for call in self.tool_calls),
            tool_call_id=self.tool_call_id,
            at=self.at or at,
        )


class NewMessageBody(Closed):
    """What a chat turn adds, as SDKs dump it: a tool's result, the user's text, or instructions.

    An assistant's message may repeat the calls that the results belong to: they are stored.
    """

    ignored = SDK_FIELDS | {"name"}

    role: Annotated[Role, BeforeValidator(_known_role)] = "tool"
    content: LongContent = ""
    tool_calls: Annotated[tuple[ToolCallBody, ...], Field(max_length=MAX_TOOL_CALLS)] = ()
    tool_call_id: Name | None = None

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        if self.role == "tool" and self.tool_call_id is None:
            raise PydanticCustomError("new_message", "Send the result with its tool_call_id")
        if self.role == "assistant" and not self.tool_calls:
            raise PydanticCustomError(
                "new_message", "Leave out earlier replies: the session remembers them"
            )
        if self.role in {"user", "system"} and not self.content:
            raise PydanticCustomError("new_message", "Send a text in content")
        return self


class FunctionCallView(BaseModel):
    """The function that a model calls, with its arguments as JSON text."""

    name: str
    arguments: str


class ToolCallView(BaseModel):
    """One tool call of an assistant message."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCallView

    @classmethod
    def of(cls, call: ToolCall) -> Self:
        """Render the tool call."""
        function = FunctionCallView(name=call.function.name, arguments=call.function.arguments)
        return cls(id=call.id, function=function)


class PromptMessage(BaseModel):
    """One role's text, an assistant's tool calls, or a tool's result, as chat models take it."""

    role: Role
    content: str
    name: str | None = None
    tool_calls: list[ToolCallView] | None = None
    tool_call_id: str | None = None

    @classmethod
    def of(cls, message: Message) -> Self:
        """Render the message."""
        return cls(**_fields_of(message))


class MessageView(PromptMessage):
    """A message of the transcript."""

    at: datetime

    @classmethod
    def of(cls, message: Message) -> Self:
        """Render the message with its time."""
        return cls(**_fields_of(message), at=message.at)


def _fields_of(message: Message) -> dict[str, object]:
    return {
        "role": message.role,
        "content": message.content,
        "name": message.name,
        "tool_calls": [ToolCallView.of(call) for call in message.tool_calls] or None,
        "tool_call_id": message.tool_call_id,
    }
