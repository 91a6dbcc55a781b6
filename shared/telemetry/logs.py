"""Structured logs without content and raw ids."""

import hashlib
import hmac
import logging
import os
import traceback

log = logging.getLogger("keepsake")
Field = str | float | bool | None
VERBOSE_LIBRARIES = (
    "azure",
    "fastapi",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "msal",
    "openai",
    "redis",
    "urllib3",
)
_digest_key = os.urandom(32)


def use_digest_key(key: bytes) -> None:
    """Make digests comparable between processes; by default each process has its own key."""
    global _digest_key  # noqa: PLW0603 - set once at start-up, before the first log line
    _digest_key = key


def digest(raw_id: str) -> str:
    """A keyed digest of an id, 16 hex digits: it correlates log lines without revealing the id."""
    return hmac.new(_digest_key, raw_id.encode(), hashlib.sha256).hexdigest()[:16]


def log_event(event: str, **fields: Field) -> None:
    """Log an event with its fields, as text and as attributes of the record.

    Fields are digests, counts and codes, never content. Fields that are None are left out.
    """
    _log(logging.INFO, event, fields)


def log_failure(event: str, error: BaseException, **fields: Field) -> None:
    """Log an error's type and last six stack frames, not its message, which may quote content."""
    frames = traceback.extract_tb(error.__traceback__)
    path = " < ".join(
        f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in reversed(frames[-6:])
    )
    _log(logging.ERROR, event, fields | {"error": type(error).__name__, "at": path})


def quiet_libraries() -> None:
    """Log only warnings of libraries: they log URLs at INFO and whole requests at DEBUG (F36)."""
    for name in VERBOSE_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def _log(level: int, event: str, fields: dict[str, Field]) -> None:
    if log.isEnabledFor(level):
        known = {key: value for key, value in fields.items() if value is not None}
        shown = " ".join(f"{key}={value}" for key, value in known.items())
        log.log(level, "%s %s", event, shown, extra={"event": event, **known})
