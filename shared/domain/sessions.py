"""A session as its user may change it."""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

from shared.domain.errors import PreconditionFailed
from shared.domain.turns import Header

Strategy = Literal["discrete", "summary", "preferences", "custom"]


@dataclass(frozen=True, slots=True)
class SessionPatch:
    """A JSON merge patch of a session: only the fields that were sent; null clears one."""

    given: frozenset[str]
    title: str | None = None
    strategy: Strategy | None = None
    ttl_seconds: int | None = None

    def apply(self, header: Header) -> Header:
        """The header as the patch wants it."""
        return replace(
            header,
            title=self.title if "title" in self.given else header.title,
            strategy=self.strategy if "strategy" in self.given else header.strategy,
            ttl_seconds=self.ttl_seconds if "ttl_seconds" in self.given else header.ttl_seconds,
        )


def session_etag(header: Header) -> str:
    """A digest of what a user sees of the session."""
    seen = repr(
        (
            header.gen.value,
            header.turn_count,
            header.consolidated_seq,
            header.title,
            header.strategy,
        )
    )
    return hashlib.sha256(f"{seen}{header.ttl_seconds}".encode()).hexdigest()[:32]


def check_etag(header: Header, if_match: str | None) -> None:
    """Let pass what the user saw, or who does not say.

    Raises:
        PreconditionFailed: the session has changed since.
    """
    if if_match not in {None, "*", session_etag(header)}:
        raise PreconditionFailed("The session has changed; read it again", target="If-Match")
