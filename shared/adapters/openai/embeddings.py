"""The embedding model: any OpenAI-compatible address, through the openai package; Azure by managed identity."""

import asyncio
from collections.abc import Sequence

from shared.adapters.openai.client import UNUSABLE, Lenient, ModelEndpoint
from shared.domain.vectors import DIMENSIONS, Vector, make_vector
from shared.ports.models import EmbedderUnavailable
from shared.telemetry import names
from shared.telemetry.meter import current_meter
from shared.telemetry.spans import model_call

PATH = "/embeddings"
MAX_TEXT_BYTES = 8000  # of each; models take 8,191 tokens, and none is less than a byte


class OpenAIEmbeddings:
    """Embeds by one call, without retries: what lacks a vector is found by its words until it gets one (F23)."""

    name = "embeddings"

    def __init__(self, endpoint: ModelEndpoint, model: str, seconds: float) -> None:
        """Make the client; it connects with its first call. `seconds` bounds one call."""
        self._endpoint = endpoint
        self._model = model
        self._seconds = seconds
        self._client = endpoint.connect()

    @property
    def model(self) -> str:
        """The model's name, which its vectors bear."""
        return self._model

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """A vector for each text, in order; of a long one the beginning counts.

        Raises:
            EmbedderUnavailable: as the port says; also when the model's vectors are longer than the container's.
        """
        meter = current_meter()
        meter.model_calls += 1
        given = [_beginning(text) for text in texts]
        body = {
            "model": self._model,
            "input": given,
            "dimensions": DIMENSIONS,
            "encoding_format": "float",
        }
        try:
            with model_call(
                names.EMBEDDINGS, self._endpoint.provider, self._model, self._endpoint.server
            ) as call:
                async with asyncio.timeout(self._seconds):
                    answer = _Answer.model_validate(
                        await self._client.post(PATH, body=body, cast_to=object)
                    )
                vectors = [
                    make_vector(self._model, one.embedding) for one in answer.in_order(len(texts))
                ]
                call.count_given(answer.tokens)
        except UNUSABLE as failed:
            raise EmbedderUnavailable from failed
        meter.embedding_tokens += answer.tokens
        return vectors

    async def ping(self) -> None:
        """Embed a word: a token, and it shows whether the deployment is there, whatever else a server offers."""
        await self.embed(["ready"])

    async def close(self) -> None:
        """Close the client. Twice is harmless."""
        await self._client.close()


def _beginning(text: str) -> str:
    return text.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")


class _Embedding(Lenient):
    index: int
    embedding: tuple[float, ...]


class _Usage(Lenient):
    prompt_tokens: int = 0


class _Answer(Lenient):
    data: tuple[_Embedding, ...]
    usage: _Usage | None = None

    @property
    def tokens(self) -> int:
        """What the texts were counted as; who counts nothing says 0."""
        return self.usage.prompt_tokens if self.usage else 0

    def in_order(self, count: int) -> Sequence[_Embedding]:
        """One for each text that was sent.

        Raises:
            ValueError: some are missing, or too many.
        """
        ordered = sorted(self.data, key=lambda one: one.index)
        if [one.index for one in ordered] != list(range(count)):
            raise ValueError("There is not one vector for each text")
        return ordered
