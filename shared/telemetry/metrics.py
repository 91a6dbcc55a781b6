"""Metrics, recorded with the OpenTelemetry API; without an SDK the calls do nothing."""

from collections.abc import Mapping, Sequence

from opentelemetry import metrics

from shared.telemetry import names
from shared.telemetry.notes import current_notes

_meter = metrics.get_meter(names.SCOPE)
_durations = _meter.create_histogram(
    names.OPERATION_DURATION,
    unit="s",
    description="Duration of model calls",
    explicit_bucket_boundaries_advisory=names.DURATION_BUCKETS,
)
_tokens = _meter.create_histogram(
    names.TOKEN_USAGE,
    unit="{token}",
    description="Tokens of model calls",
    explicit_bucket_boundaries_advisory=names.TOKEN_BUCKETS,
)
_retrievals = _meter.create_histogram(
    names.RETRIEVAL_DURATION,
    unit="s",
    description="Time from the start of a turn until its context is complete",
    explicit_bucket_boundaries_advisory=names.RETRIEVAL_BUCKETS,
)
_appended = _meter.create_counter(names.TURNS_APPENDED, unit="{turn}", description="Turns stored")
_replayed = _meter.create_counter(
    names.TURNS_REPLAYED, unit="{turn}", description="Turns answered from the store"
)
_interrupted = _meter.create_counter(
    names.TURNS_INTERRUPTED, unit="{turn}", description="Turns whose client disconnected"
)
_degraded = _meter.create_counter(
    names.TURNS_DEGRADED, unit="{turn}", description="Degraded turns, by reason"
)
_summarised = _meter.create_counter(
    names.TURNS_SUMMARISED, unit="{turn}", description="Turns included in a summary"
)
_dead_lettered = _meter.create_counter(
    names.SESSIONS_DEAD_LETTERED, unit="{session}", description="Dead-lettered sessions, by reason"
)
_conflicts = _meter.create_counter(
    names.STORE_CONFLICTS, unit="{race}", description="Commits retried after a concurrent commit"
)
_relevance = _meter.create_histogram(
    names.RELEVANCE,
    unit="1",
    description="Cosine similarity of the recalled turns in a prompt to the message",
    explicit_bucket_boundaries_advisory=names.RELEVANCE_BUCKETS,
)
_charge = _meter.create_counter(
    names.REQUEST_CHARGE, unit="{request_unit}", description="Cosmos DB request units"
)
_redis_unavailable = _meter.create_counter(
    names.REDIS_UNAVAILABLE, unit="{call}", description="Failed Redis calls"
)


def record_model_seconds(seconds: float, of: Mapping[str, str]) -> None:
    """Record how long a model call took."""
    _durations.record(seconds, of)


def record_model_tokens(tokens: int, of: Mapping[str, str]) -> None:
    """Record the tokens of a model call, as the model counted them."""
    _tokens.record(tokens, of)


def count_turn(status: str, degraded: Sequence[str], *, replayed: bool) -> None:
    """Count a completed turn, and note it for the request's log line."""
    notes = current_notes()
    notes.replayed, notes.degraded = replayed, degraded
    if replayed:
        _replayed.add(1)
        return
    _appended.add(1, {names.TURN_STATUS: status})
    if status == "interrupted":
        _interrupted.add(1)
    for reason in degraded:
        _degraded.add(1, {names.DEGRADED_REASON: reason})


def count_summary(turns: int, *, extractive: bool) -> None:
    """Count the turns that a new summary includes."""
    _summarised.add(turns, {names.EXTRACTIVE: extractive})


def count_dead_lettered(reason: str) -> None:
    """Count a session that was dead-lettered."""
    _dead_lettered.add(1, {names.DEAD_LETTER_REASON: reason})


def time_retrieval(seconds: float, *, cold: bool) -> None:
    """Record how long a turn's context took; a cold turn read its window from Cosmos DB."""
    _retrievals.record(seconds, {names.TURN_START: "cold" if cold else "warm"})


def record_relevance(similarities: Sequence[float]) -> None:
    """Record how similar the recalled turns in a prompt are to the message."""
    for similarity in similarities:
        _relevance.record(similarity)


def count_conflict() -> None:
    """Count a commit that lost to a concurrent one and is retried."""
    _conflicts.add(1)


def count_charge(units: float, status: int) -> None:
    """Count the request units of one Cosmos DB response."""
    _charge.add(units, {names.DB_STATUS: str(status)})


def count_redis_unavailable() -> None:
    """Count a Redis call that failed."""
    _redis_unavailable.add(1)
