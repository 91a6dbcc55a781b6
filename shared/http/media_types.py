"""Media types of requests and responses, by RFC 9110."""

JSON = "application/json"


def is_json(content_type: str) -> bool:
    """Whether a body of this type is JSON."""
    name = _name_of(content_type)
    return name == JSON or (name.startswith("application/") and name.endswith("+json"))


def accepts(header: str, media_type: str) -> bool:
    """Whether an Accept header asks for exactly this type; a weight of zero refuses it."""
    return any(
        _name_of(option) == media_type and _weight_of(option) > 0 for option in header.split(",")
    )


def _name_of(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _weight_of(option: str) -> float:
    for parameter in option.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value.strip())
            except ValueError:
                return 0
    return 1
