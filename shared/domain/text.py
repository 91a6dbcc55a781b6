"""Text from outside, made storable."""

import re

# NUL cannot be stored; the other control characters take six bytes each in JSON.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def storable(text: str) -> str:
    """Replace characters that no store can hold; the halves of a split character are joined."""
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _UNPRINTABLE.sub("\ufffd", joined)
