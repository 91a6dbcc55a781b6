"""Separates a model's thinking from its reply: `<think>...</think>` at the start of the text."""

OPEN, CLOSE = "<think>", "</think>"


class ThinkingFilter:
    """Passes on the text of a reply in chunks, without the thinking that it may start with."""

    def __init__(self) -> None:
        self._pending = ""
        self._state = "start"
        self.thinking = ""

    def add(self, chunk: str) -> str:
        """Add a chunk; returns what of the text is known to belong to the reply."""
        if self._state == "reply":
            return chunk
        self._pending += chunk
        if self._state == "start" and not self._starts():
            return ""
        return self._split() if self._state == "thinking" else self._release()

    def finish(self) -> str:
        """The rest of the reply; thinking that never ended is not part of it."""
        if self._state == "thinking":
            self.thinking, self._pending = self._pending.strip(), ""
        return self._release()

    def _starts(self) -> bool:
        """Whether it is decided by now if the text starts with thinking."""
        text = self._pending.lstrip()
        if text.startswith(OPEN):
            self._state, self._pending = "thinking", text[len(OPEN) :]
        elif not OPEN.startswith(text):
            self._state = "reply"
        return self._state != "start"

    def _split(self) -> str:
        thinking, closed, rest = self._pending.partition(CLOSE)
        if not closed:
            return ""
        self.thinking, self._pending, self._state = thinking.strip(), rest.lstrip(), "reply"
        return self._release()

    def _release(self) -> str:
        released, self._pending = self._pending, ""
        return released
