"""Telemetry: log lines, spans and metrics, without content and raw ids."""

from shared.telemetry.logs import digest, log_event, log_failure, use_digest_key

__all__ = ["digest", "log_event", "log_failure", "use_digest_key"]
