"""Logs that say what happened without saying to whom or what was said."""

import hashlib
import hmac
import logging
import os
import traceback

log = logging.getLogger("keepsake")
_digest_key = os.urandom(32)


def use_digest_key(key: bytes) -> None:
    """Make digests comparable over processes; without a key they hold for one process only."""
    global _digest_key  # noqa: PLW0603 - set once at start, before the first log line
    _digest_key = key


def digest(raw_id: str) -> str:
    """A keyed digest of an id, 16 hex digits: joins log lines, leads nowhere without the key."""
    return hmac.new(_digest_key, raw_id.encode(), hashlib.sha256).hexdigest()[:16]


def log_event(event: str, **fields: str | float | bool | None) -> None:
    """Log one event with its fields. Fields are ids as digests, counts and codes; never content."""
    log.info("%s %s", event, " ".join(f"{key}={value}" for key, value in fields.items()))


def log_failure(event: str, error: BaseException, **fields: str | float | bool | None) -> None:
    """Log a failure by its type and the places it passed: its message may quote content and is left out."""
    frames = traceback.extract_tb(error.__traceback__)
    path = " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in reversed(frames[-6:]))
    shown = " ".join(f"{key}={value}" for key, value in fields.items())
    log.error("%s %s error=%s at=%s", event, shown, type(error).__name__, path)
