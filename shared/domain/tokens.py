"""Estimates of how many tokens a text takes."""

from collections.abc import Callable

BYTES_PER_TOKEN = 4  # accurate to about a fifth for English
Count = Callable[[str], int]


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text: its bytes / 4, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)
