"""What can go wrong, by name: codes are a contract, HTTP statuses are decided in shared/http/errors.py."""

from typing import ClassVar


class KeepsakeError(Exception):
    """A failure a caller can act on; its message says what to do next and never holds content or raw ids."""

    code: ClassVar[str]

    def __init__(
        self, message: str, *, target: str | None = None, retry_after: float | None = None
    ) -> None:
        """Keep the message, the field it is about, and the seconds after which to try again."""
        super().__init__(message)
        self.message = message
        self.target = target
        self.retry_after = retry_after


class InvalidRequest(KeepsakeError):
    """The request is not one the API knows."""

    code = "invalid_request"


class InvalidId(InvalidRequest):
    """An id is empty, too long, or holds a character ids must not have."""

    code = "invalid_id"


class InvalidJson(InvalidRequest):
    """The body is not JSON that survives a round trip through every store."""

    code = "invalid_json"


class TooLarge(KeepsakeError):
    """A stated limit is passed; the message names it."""

    code = "too_large"


class PrincipalRequired(KeepsakeError):
    """Nobody is named as the user, or the token does not prove it."""

    code = "principal_required"


class Forbidden(KeepsakeError):
    """The caller is known and may not act for this user."""

    code = "forbidden"


class NotFound(KeepsakeError):
    """There is no such thing in the caller's partition."""

    code = "not_found"


class PreconditionFailed(KeepsakeError):
    """If-Match does not fit what is stored now."""

    code = "precondition_failed"


class TurnConflict(KeepsakeError):
    """The turn id was used for another body."""

    code = "turn_conflict"


class TurnInProgress(KeepsakeError):
    """Another request works on this turn; send it again to collect the answer."""

    code = "turn_in_progress"


class SessionErased(KeepsakeError):
    """The session or the user was erased while the request ran; nothing is stored."""

    code = "session_erased"


class ContentFiltered(KeepsakeError):
    """The model or its provider refused to answer; the turn is stored as refused."""

    code = "content_filtered"

    def __init__(self, message: str, *, refusal: str = "") -> None:
        """Keep the refusal's own text, which is stored with the turn."""
        super().__init__(message)
        self.refusal = refusal


class CompletionLimitReached(KeepsakeError):
    """The model spent all its completion tokens without an answer; a retry would do the same."""

    code = "completion_limit"


class ModelUnavailable(KeepsakeError):
    """The model gave no usable answer; nothing is stored, the same request may be sent again."""

    code = "model_unavailable"


class StoreUnavailable(KeepsakeError):
    """Cosmos DB gave no answer; nothing is half-written, the same request may be sent again."""

    code = "store_unavailable"


class Busy(KeepsakeError):
    """Too many others write the same thing at this moment."""

    code = "busy"


class Contended(Busy):
    """Another write of the same document is under way; nothing was written."""
