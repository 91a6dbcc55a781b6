"""Ids are types: holding one is the proof that it was validated."""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID, uuid5

from shared.domain.errors import InvalidId

MAX_ID_BYTES = (
    200  # Teams conversation ids run to about 150; Cosmos ids carry a digest, so this is for people
)
_USER_ID = re.compile(r"[A-Za-z0-9._~@|-]{1,128}")
_SESSIONS = UUID("8c1f1a52-7d0c-4a53-9a0b-3f6f0d0e5b1d")  # the names in it are turn ids
_GEN = re.compile(r"[0-9a-f]{32}")
_FORBIDDEN = frozenset(
    "/\\?#\ufffd"
)  # four cut URLs and Cosmos ids; the last is what any broken UTF-8 is read as


@dataclass(frozen=True, slots=True)
class UserId:
    """Whose data it is. Made in one place only, from a verified principal."""

    value: str

    def __post_init__(self) -> None:
        """Refuse what could not be a partition key everywhere."""
        if not _USER_ID.fullmatch(self.value):
            raise InvalidId(
                "A user id has 1 to 128 characters out of A-Z a-z 0-9 . _ ~ @ | -", target="user_id"
            )


@dataclass(frozen=True, slots=True)
class _CallerGivenId:
    value: str
    target: ClassVar[str]

    def __post_init__(self) -> None:
        """Refuse what would not survive a URL, a Cosmos id or a log line."""
        if not _is_speakable(self.value):
            raise InvalidId(
                f"A {self.target} has 1 to {MAX_ID_BYTES} bytes of printable UTF-8 without / \\ ? # and is not . or ..",
                target=self.target,
            )


class SessionId(_CallerGivenId):
    """One conversation of one user, named by the caller."""

    __slots__ = ()
    target = "session_id"

    @classmethod
    def begun_by(cls, turn_id: "TurnId") -> "SessionId":
        """The session that a turn begins which names none: the same, however often the turn is sent."""
        return cls(uuid5(_SESSIONS, turn_id.value).hex)


class TurnId(_CallerGivenId):
    """One turn of a session, named by the caller: the same id is the same turn."""

    __slots__ = ()
    target = "turn_id"


class DataName(_CallerGivenId):
    """A name for a value kept with a session, for a tool's result its name and a hash of its arguments."""

    __slots__ = ()
    target = "name"


@dataclass(frozen=True, slots=True)
class Gen:
    """One incarnation of a session: 32 hex digits, drawn anew each time a session id begins again."""

    value: str

    def __post_init__(self) -> None:
        """Refuse anything else: a gen is written into patch conditions, which take no parameters."""
        if not _GEN.fullmatch(self.value):
            raise InvalidId("A gen is 32 hexadecimal digits", target="gen")


def digest_of(*parts: str) -> str:
    """Digest the parts so that two different lists never meet: 32 characters of base32, 160 bits.

    Each part is prefixed with its length, so ("a", "bc") and ("ab", "c") differ.
    """
    sha = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        sha.update(len(raw).to_bytes(8, "big"))
        sha.update(raw)
    return base64.b32encode(sha.digest()[:20]).decode().lower()


def _is_speakable(text: str) -> bool:
    if not text.isprintable() or text in {".", ".."} or _FORBIDDEN & set(text):
        return False
    return 1 <= len(text.encode()) <= MAX_ID_BYTES
