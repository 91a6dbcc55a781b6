"""What the service says when it refuses a request."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

CROSS_PARTITION_NOT_SERVABLE = 1004
PARTITION_KEY_MISMATCH = 1001
OWNER_NOT_FOUND = 1003
PREDICATE_FALSE = 1110
RATE_TOO_LARGE = 3200

PRECONDITION = "Operation cannot be performed because one of the specified precondition is not met."
CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "RequestTimeout",
    409: "Conflict",
    410: "Gone",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    424: "FailedDependency",
    429: "TooManyRequests",
    449: "RetryWith",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


@dataclass
class Refusal(Exception):
    """An answer with an error status, in the service's shape."""

    status: int
    message: str
    substatus: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    details: str | None = None  # for clients that read more than the message

    def body(self) -> bytes:
        """Write the error document the SDKs parse."""
        code = CODES.get(self.status, "BadRequest")
        body = {"code": code, "message": self.message}
        if self.details is not None:
            body["additionalErrorInfo"] = self.details
        return json.dumps(body).encode()


def bad_request(message: str, substatus: int | None = None) -> Refusal:
    """Refuse what the service would not accept, or what this stand-in does not know."""
    return Refusal(400, message, substatus)


def item_not_found() -> Refusal:
    """Answer for an item that does not exist or has expired."""
    return Refusal(404, "Entity with the specified id does not exist in the system.")


def owner_not_found(name: str) -> Refusal:
    """Answer for a database or container that does not exist."""
    return Refusal(404, f"Owner resource does not exist: {name}", OWNER_NOT_FOUND)


def conflict(
    message: str = "Entity with the specified id already exists in the system.",
) -> Refusal:
    """Answer for an id or unique key that is taken."""
    return Refusal(409, message)


def precondition_failed(
    message: str = PRECONDITION,
    substatus: int | None = None,
) -> Refusal:
    """Answer for an ETag that is not the current one, or a predicate that is false."""
    return Refusal(412, message, substatus)


def too_large(message: str = "Request size is too large.") -> Refusal:
    """Answer for an item or a batch over 2 MB."""
    return Refusal(413, message)


def sql_error(code: str, message: str, start: int, end: int) -> Refusal:
    """Refuse a query and point at the place, as the service does."""
    error = {
        "severity": "Error",
        "location": {"start": start, "end": end},
        "code": code,
        "message": message,
    }
    return bad_request(json.dumps({"errors": [error]}))
