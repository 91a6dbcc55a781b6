"""Versioned prompt files; a change of a text is a new version."""

from functools import cache
from importlib.resources import files


@cache
def read_prompt(name: str) -> str:
    """The text of a prompt file, for example `chat.v1`."""
    return files(__name__).joinpath(f"{name}.txt").read_text("utf-8").strip()
