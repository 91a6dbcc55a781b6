"""A turn that is stored, found by the request that stores it or by a later one."""

from dataclasses import dataclass

from shared.domain.errors import SessionErased, TurnConflict
from shared.domain.ids import UserId
from shared.domain.sessions import Header
from shared.domain.turns import Turn
from shared.ports.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as it is stored; `replayed` if an earlier or a concurrent request stored it."""

    turn: Turn
    replayed: bool


def replay(turn: Turn, body_hash: str) -> StoredTurn:
    """Answer a resend with the stored turn.

    Raises:
        TurnConflict: the turn was stored with a different body.
    """
    if turn.body_hash != body_hash:
        raise conflict()
    return StoredTurn(turn, replayed=True)


async def reread_header(sessions: SessionStore, user: UserId, seen: Header | Turn) -> Header:
    """Read the header again; it must be of the same incarnation as what was seen.

    Raises:
        SessionErased: the session is gone, or has started over.
    """
    header = await sessions.read_header(user, seen.session_id)
    if header is None or header.gen != seen.gen:
        raise erased()
    return header


def conflict() -> TurnConflict:
    """The error for a turn id that was used for two bodies."""
    return TurnConflict(
        "This turn_id was already used for a different body; use a new turn_id", target="turn_id"
    )


def erased() -> SessionErased:
    """The error for a session that was deleted while its turn was in progress."""
    return SessionErased(
        "The session was deleted meanwhile and nothing is stored; send again to start a new one"
    )
