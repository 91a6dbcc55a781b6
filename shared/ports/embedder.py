"""The model that turns texts into vectors."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.vectors import Vector


class EmbedderUnavailable(Exception):
    """No usable vectors came; what they were for is done without, and made up for later."""


class Embedder(Protocol):
    """An embedding model behind any OpenAI-compatible address."""

    @property
    def model(self) -> str:
        """The model's name, which its vectors bear."""
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """A vector for each text, in order, by one call of the model.

        Raises:
            EmbedderUnavailable: the model did not answer in time, or not with a vector for each.
        """
        ...
