"""Sessions: listed, changed and deleted, with the data that is kept with them."""

from shared.services.sessions.catalogue import Sessions
from shared.services.sessions.data import SessionData
from shared.services.sessions.deletion import SessionDeletion

__all__ = ["SessionData", "SessionDeletion", "Sessions"]
