"""Errors that a caller can act on.

Their codes are a contract; shared/http/errors.py maps them to HTTP statuses.
"""

from typing import ClassVar


class KeepsakeError(Exception):
    """An error that a caller can act on.

    The message says what to do and never contains content or raw ids; `target` is the field it
    is about, `retry_after` the seconds to wait before a retry.
    """

    code: ClassVar[str]

    def __init__(
        self, message: str, *, target: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.target = target
        self.retry_after = retry_after


class InvalidRequest(KeepsakeError):
    """The request is malformed, or a field has an invalid value."""

    code = "invalid_request"


class InvalidId(InvalidRequest):
    """An id is empty, too long, or contains a forbidden character."""

    code = "invalid_id"


class InvalidJson(InvalidRequest):
    """The body is not JSON, or would not survive a round trip through every store."""

    code = "invalid_json"


class TooLarge(KeepsakeError):
    """A size limit is exceeded; the message names it."""

    code = "too_large"


class PrincipalRequired(KeepsakeError):
    """The request names no user, or its token is not valid."""

    code = "principal_required"


class Forbidden(KeepsakeError):
    """The caller is authenticated but may not act for this user."""

    code = "forbidden"


class NotFound(KeepsakeError):
    """The user has no such resource."""

    code = "not_found"


class PreconditionFailed(KeepsakeError):
    """If-Match does not match what is stored."""

    code = "precondition_failed"


class TurnConflict(KeepsakeError):
    """The turn id has been used with a different body."""

    code = "turn_conflict"


class TurnInProgress(KeepsakeError):
    """Another request is working on this turn; a resend returns its answer."""

    code = "turn_in_progress"


class SessionErased(KeepsakeError):
    """The session or the user was erased during the request; nothing is stored."""

    code = "session_erased"


class ContentFiltered(KeepsakeError):
    """The model or its provider refused to answer; the turn is stored as refused."""

    code = "content_filtered"

    def __init__(self, message: str, *, refusal: str = "") -> None:
        """Keep the refusal's own text, which is stored with the turn."""
        super().__init__(message)
        self.refusal = refusal


class PromptFiltered(ContentFiltered):
    """The provider's filter refused what the model was to be given, before the model answered."""


class CompletionLimitReached(KeepsakeError):
    """The model spent all its completion tokens without an answer; a retry would do the same."""

    code = "completion_limit"


class ModelUnavailable(KeepsakeError):
    """The model gave no usable answer; nothing is stored, and a resend is safe."""

    code = "model_unavailable"


class StoreUnavailable(KeepsakeError):
    """Cosmos DB did not answer; no write is partial, and a resend is safe."""

    code = "store_unavailable"


class StoreFull(KeepsakeError):
    """The user's partition has reached the size that Cosmos DB allows; only deleting helps."""

    code = "store_full"


class Busy(KeepsakeError):
    """Too many concurrent writes, or no request units left; a resend is safe."""

    code = "busy"


class Contended(Busy):
    """Another write of the same document is in progress; nothing was written."""
