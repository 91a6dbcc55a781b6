"""What is wrong with a request, in our own words: no text of a validation library leaves here."""

from collections.abc import Mapping, Sequence
from typing import Any

MESSAGES: Mapping[str, str] = {
    "missing": "This is required; add it",
    "extra_forbidden": "There is no such field; remove it",
    "string_type": "Send text here (a JSON string)",
    "string_too_short": "Send at least {min_length} character here",
    "string_too_long": "Send at most {max_length} characters here",
    "string_pattern_mismatch": "This text does not have the required form; see the API document",
    "string_unicode": "Send valid Unicode text here",
    "int_type": "Send a whole number here",
    "int_parsing": "Send a whole number here",
    "int_parsing_size": "This number is too large; send a smaller one",
    "int_from_float": "Send a whole number here",
    "float_type": "Send a number here",
    "float_parsing": "Send a number here",
    "bool_type": "Send true or false here",
    "bool_parsing": "Send true or false here",
    "none_required": "Send null here, or leave it out",
    "dict_type": "Send a JSON object here",
    "mapping_type": "Send a JSON object here",
    "model_type": "Send a JSON object here",
    "model_attributes_type": "Send a JSON object here",
    "list_type": "Send a JSON array here",
    "tuple_type": "Send a JSON array here",
    "too_short": "Send at least {min_length} item here",
    "too_long": "Send at most {max_length} items here",
    "literal_error": "Send {expected} here",
    "enum": "Send {expected} here",
    "greater_than_equal": "Send a number of at least {ge} here",
    "less_than_equal": "Send a number of at most {le} here",
    "timezone_aware": "Write times with an offset: 2026-11-21T09:30:00Z",
}
OWN = frozenset(
    {"too_large", "invalid_id", "datetime", "no_message", "content_parts", "new_message"}
)  # raised with our own text
UNKNOWN = "This value is not valid here; see the API document at /api/docs"
NO_BODY = "The body is missing; send a JSON object"


def explain(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """What to say about one error of the validation library."""
    if kind in OWN:
        return message
    if kind.startswith(("datetime_", "date_")):
        return "Write times as RFC 3339 with an offset: 2026-11-21T09:30:00Z"
    return MESSAGES.get(kind, UNKNOWN).format_map(context)


def target_of(location: Sequence[Any]) -> str | None:
    """The field or header that an error is about; nothing else of what was sent is repeated."""
    of_header = location[0] == "header"  # header names are ours; a field's may be anything
    named = (
        str(part)
        for part in location[1:]
        if of_header or isinstance(part, int) or str(part).isidentifier()
    )
    return ".".join(named)[:200] or None
