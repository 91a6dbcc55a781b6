"""Notes on a request for its log line."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from shared.telemetry.logs import digest


@dataclass(slots=True)
class Notes:
    """Notes on one request, shared by the tasks that it starts. Ids are digests.

    `stream_ended` is `done`, `left` (the client disconnected), or an error code.
    """

    actor: str | None = None
    subject: str | None = None
    replayed: bool | None = None
    degraded: Sequence[str] = ()
    stream_ended: str | None = None

    def note_principal(self, actor: str, subject: str) -> None:
        """Note the caller, and the user it acts for."""
        self.actor, self.subject = digest(actor), digest(subject)


_current: ContextVar[Notes | None] = ContextVar("notes", default=None)


def start_notes() -> Notes:
    """Start new notes for this context and for all tasks created in it from now on."""
    notes = Notes()
    _current.set(notes)
    return notes


def current_notes() -> Notes:
    """The request's notes; outside of a request, ones that are discarded."""
    return _current.get() or Notes()
