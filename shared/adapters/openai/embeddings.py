"""The embedding model, behind any OpenAI-compatible endpoint."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from shared.adapters.openai.client import CALL_FAILURES, REJECTIONS, ModelEndpoint
from shared.adapters.openai.dialect import Dialect
from shared.adapters.openai.json_reader import count_in, object_in, objects_in
from shared.domain.spending import Spending
from shared.domain.vectors import DIMENSIONS, Vector, make_vector
from shared.ports.models import EmbedderUnavailable
from shared.telemetry import names
from shared.telemetry.meter import current_meter
from shared.telemetry.spans import model_call

PATH = "/embeddings"
OPTIONAL = frozenset({"dimensions", "encoding_format"})
MAX_TEXT_BYTES = 8000  # per text; models accept 8,191 tokens, and a token has at least one byte

_NUMBERS = TypeAdapter(tuple[float, ...])


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
        self._dialect = Dialect(OPTIONAL)

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
        meter.spend(Spending(model_calls=1))
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
                    answer = await self._post(body)
                tokens = count_in(object_in(answer, "usage"), "prompt_tokens")
                embeddings = _embeddings_of(answer, len(texts))
                vectors = [make_vector(self._model, numbers) for numbers in embeddings]
                call.count_input_tokens(tokens)
        except CALL_FAILURES as failed:
            raise EmbedderUnavailable from failed
        meter.spend(Spending(embedding_tokens=tokens))
        return vectors

    async def _post(self, body: dict[str, Any]) -> Any:
        """Send a request; once more without a parameter that the server rejects."""
        while True:
            try:
                spoken = self._dialect.apply(body)
                return await self._client.post(PATH, body=spoken, cast_to=object)
            except REJECTIONS as refused:
                if not self._dialect.learn(body, f"{refused.param} {refused.message}"):
                    raise

    async def ping(self) -> None:
        """Embed one word: it costs a token and tests the deployment itself."""
        await self.embed(["ready"])

    async def close(self) -> None:
        """Close the client. Idempotent."""
        await self._client.close()


def _truncate(text: str) -> str:
    return text.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")


def _embeddings_of(answer: object, count: int) -> Sequence[Sequence[float]]:
    """The embeddings in the order of the texts; some servers leave out their indexes.

    Raises:
        ValueError: there is not exactly one per text, or one is not a list of numbers.
    """
    items = objects_in(answer, "data")
    indexed = [item.get("index", place) for place, item in enumerate(items)]
    if sorted(indexed, key=str) != sorted(range(count), key=str):
        raise ValueError("The response does not have one vector per text")
    ordered = dict(zip(indexed, items, strict=True))
    return [_NUMBERS.validate_python(ordered[place].get("embedding")) for place in range(count)]
