"""Turns: how a chat turn is answered and stored."""

from shared.services.turns.admission import Admission
from shared.services.turns.answer import Answer
from shared.services.turns.chat import Chat, ChatParts
from shared.services.turns.commit import TurnCommit
from shared.services.turns.context import Context
from shared.services.turns.draft import Retention
from shared.services.turns.lease import Leases
from shared.services.turns.opening import TurnOpening
from shared.services.turns.preview import ContextPreview
from shared.services.turns.request import ChatRequest, RecordRequest, ToolResult
from shared.services.turns.stored_turn import StoredTurn
from shared.services.turns.stream import (
    ContextEvent,
    DeltaEvent,
    DoneEvent,
    StreamEvent,
    TurnStream,
)

__all__ = [
    "Admission",
    "Answer",
    "Chat",
    "ChatParts",
    "ChatRequest",
    "Context",
    "ContextEvent",
    "ContextPreview",
    "DeltaEvent",
    "DoneEvent",
    "Leases",
    "RecordRequest",
    "Retention",
    "StoredTurn",
    "StreamEvent",
    "ToolResult",
    "TurnCommit",
    "TurnOpening",
    "TurnStream",
]
