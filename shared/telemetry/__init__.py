"""What can be seen of a running app from outside: log lines, spans and metrics; never content, never raw ids."""

from shared.telemetry.logs import digest, log_event, log_failure, use_digest_key

__all__ = ["digest", "log_event", "log_failure", "use_digest_key"]
