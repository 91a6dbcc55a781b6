"""Ids as types: an instance has been validated."""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID, uuid5

from shared.domain.errors import InvalidId

MAX_ID_BYTES = 200  # Teams conversation ids have about 150; stores only see a digest
_USER_ID = re.compile(r"[A-Za-z0-9._~@|-]{1,128}")
_SESSIONS = UUID("8c1f1a52-7d0c-4a53-9a0b-3f6f0d0e5b1d")  # namespace; its names are turn ids
_GEN = re.compile(r"[0-9a-f]{32}")
# Four characters that URLs or Cosmos ids cannot contain, and the replacement character, which
# any malformed UTF-8 decodes to.
_FORBIDDEN = frozenset("/\\?#\ufffd")


@dataclass(frozen=True, slots=True)
class UserId:
    """The user whose data it is. Created in one place only, from a verified principal."""

    value: str

    def __post_init__(self) -> None:
        """Reject what cannot be a partition key in every store.

        Raises:
            InvalidId: the value is empty, too long or contains another character.
        """
        if not _USER_ID.fullmatch(self.value):
            raise InvalidId(
                "A user id has 1 to 128 characters from A-Z a-z 0-9 . _ ~ @ | -; send another one",
                target="user_id",
            )


@dataclass(frozen=True, slots=True)
class _CallerChosenId:
    value: str
    target: ClassVar[str]

    def __post_init__(self) -> None:
        """Reject what would not survive a URL, a Cosmos id or a log line.

        Raises:
            InvalidId: the value is empty, too long or contains a forbidden character.
        """
        if not _is_allowed(self.value):
            raise InvalidId(
                f"A {self.target} has 1 to {MAX_ID_BYTES} bytes of printable UTF-8, without "
                "/ \\ ? #, and is not . or ..; send another one",
                target=self.target,
            )


class SessionId(_CallerChosenId):
    """The id of a conversation, chosen by the caller and unique per user."""

    __slots__ = ()
    target = "session_id"

    @classmethod
    def started_by(cls, turn_id: "TurnId") -> "SessionId":
        """The session that a turn without a session id starts.

        Deterministic, so that a resend finds the same session.
        """
        return cls(uuid5(_SESSIONS, turn_id.value).hex)


class TurnId(_CallerChosenId):
    """The id of a turn, chosen by the caller and unique per session."""

    __slots__ = ()
    target = "turn_id"


class DataName(_CallerChosenId):
    """The name of an item of session data, e.g. a tool's name and a hash of its arguments."""

    __slots__ = ()
    target = "name"


@dataclass(frozen=True, slots=True)
class Gen:
    """The generation of a session: 32 random hex digits per incarnation of a session id."""

    value: str

    def __post_init__(self) -> None:
        """Reject anything else: it is inserted into patch conditions, which take no parameters.

        Raises:
            InvalidId: the value is not 32 hex digits.
        """
        if not _GEN.fullmatch(self.value):
            raise InvalidId("A generation has 32 hexadecimal digits; read it again", target="gen")


def digest_of(*parts: str) -> str:
    """A digest of a list of strings: 160 bits as 32 characters of base32.

    Each part is prefixed with its length, so that ("a", "bc") and ("ab", "c") differ.
    """
    sha = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        sha.update(len(raw).to_bytes(8, "big"))
        sha.update(raw)
    return base64.b32encode(sha.digest()[:20]).decode().lower()


def _is_allowed(text: str) -> bool:
    if not text.isprintable() or text in {".", ".."} or _FORBIDDEN & set(text):
        return False
    return 1 <= len(text.encode()) <= MAX_ID_BYTES
