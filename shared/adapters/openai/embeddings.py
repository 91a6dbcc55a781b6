"""The embedding model, behind any OpenAI-compatible endpoint."""

import asyncio
from collections.abc import Sequence

from shared.adapters.openai.client import CALL_FAILURES, Lenient, ModelEndpoint
from shared.domain.vectors import DIMENSIONS, Vector, make_vector
from shared.ports.models import EmbedderUnavailable
from shared.telemetry import names
from shared.telemetry.meter import current_meter
from shared.telemetry.spans import model_call

PATH = "/embeddings"
MAX_TEXT_BYTES = 8000  # per text; models accept 8,191 tokens, and a token has at least one byte


class OpenAIEmbeddings:
    """Embeds with one call and without retries.

    A turn without a vector is found by keywords until its session is consolidated (F23).
    """

    name = "embeddings"

    def __init__(self, endpoint: ModelEndpoint, model: str, seconds: float) -> None:
        """Create the client; it connects on the first call. `seconds` bounds one call."""
        self._endpoint = endpoint
        self._model = model
        self._seconds = seconds
        self._client = endpoint.connect()

    @property
    def model(self) -> str:
        """The model's name, which its vectors carry."""
        return self._model

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Embed each text, in order; a text is truncated to 8,000 bytes.

        Raises:
            EmbedderUnavailable: see the port; also if the vectors have more dimensions than the
                container.
        """
        meter = current_meter()
        meter.model_calls += 1
        body = {
            "model": self._model,
            "input": [_truncate(text) for text in texts],
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
                call.count_input_tokens(answer.tokens)
        except CALL_FAILURES as failed:
            raise EmbedderUnavailable from failed
        meter.embedding_tokens += answer.tokens
        return vectors

    async def ping(self) -> None:
        """Embed one word: it costs a token and tests the deployment itself."""
        await self.embed(["ready"])

    async def close(self) -> None:
        """Close the client. Idempotent."""
        await self._client.close()


def _truncate(text: str) -> str:
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
        """The prompt tokens; 0 if the server does not count them."""
        return self.usage.prompt_tokens if self.usage else 0

    def in_order(self, count: int) -> Sequence[_Embedding]:
        """The embeddings in the order of the texts.

        Raises:
            ValueError: there is not exactly one per text.
        """
        ordered = sorted(self.data, key=lambda one: one.index)
        if [one.index for one in ordered] != list(range(count)):
            raise ValueError("The response does not have one vector per text")
        return ordered
