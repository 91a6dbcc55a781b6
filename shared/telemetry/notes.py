"""What is learned of a request while it is served, for its one log line."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from shared.telemetry.logs import digest


@dataclass(slots=True)
class Notes:
    """Of one request; tasks started by the request add to the same notes. Ids are digests from here on.

    `stream_ended` is how a stream ended: `done`, `left` by its reader, or an error's code.
    """

    actor: str | None = None
    subject: str | None = None
    replayed: bool | None = None
    degraded: Sequence[str] = ()
    stream_ended: str | None = None

    def note_principal(self, actor: str, subject: str) -> None:
        """Keep who calls, and for which user."""
        self.actor, self.subject = digest(actor), digest(subject)


_current: ContextVar[Notes | None] = ContextVar("notes", default=None)


def start_notes() -> Notes:
    """Empty notes for this context and all tasks made in it from now on."""
    notes = Notes()
    _current.set(notes)
    return notes


def current_notes() -> Notes:
    """The request's notes; outside of a request some that nobody reads."""
    return _current.get() or Notes()
