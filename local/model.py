"""A scripted model behind an OpenAI-compatible address.

Its answers are computed from the request, or taken from a script. `python -m local.model` serves it
as a child process and prints its address once it is ready.
"""

import asyncio
import json
import math
import re
import signal
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local.serving import address_of, listen, serving
from shared.domain.prompt import DATA_NOTICE

MODEL_NAME = "scripted"
OK = 200
BLOCK = re.compile(
    r"<(user_preferences|session_summary|recent_session|recalled_turns|conversation)>\n(.*?)\n</\1>",
    re.DOTALL,
)
INTRODUCTIONS = {
    "user_preferences": "I know what you prefer",
    "session_summary": "Earlier",
    "recent_session": "Last time",
    "recalled_turns": "You once said",
}
DIMENSIONS = 512  # of a vector, unless the request has `dimensions`
MAX_QUOTED = 2000  # characters per block, so that recalled answers do not grow from turn to turn
LETTERS = 3  # per counted n-gram, so that words with the same stem are similar
STATEMENT = re.compile(r"(?:I|My|We|Our)\b[^.!?\n]*[.!]")  # a sentence for the summary


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How to answer one request: with this text, status, raw body or tool calls, and how late.

    A streamed answer is sent in chunks of one word or one tool call, `chunk_delay` seconds apart.
    It ends without its last events after `breaks_off_after` words.
    """

    text: str | None = None
    finish_reason: str = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    delay: float = 0.0
    chunk_delay: float = 0.0
    breaks_off_after: int | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()

    @property
    def is_raw(self) -> bool:
        """Whether status and body are sent as they are."""
        return self.body is not None or self.status != OK


class ScriptedModel:
    """The server's application, its scripts, and the requests it has received."""

    def __init__(
        self, refuse: Callable[[Mapping[str, Any]], Mapping[str, str] | None] = lambda _: None
    ) -> None:
        """Start with empty scripts; a request for which `refuse` gives an error gets a 400."""
        self._refuse = refuse
        self.script: deque[Behaviour] = deque()
        self.embedding_script: deque[Behaviour] = deque()
        self.requests: list[dict[str, Any]] = []
        self.embedding_requests: list[dict[str, Any]] = []
        self.streams_open = 0
        self.chunks_sent = 0
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/embeddings", self._embed, methods=["POST"]),
                Route("/v1/models", self._list_models),
            ]
        )

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        if error := self._refuse(body):
            return JSONResponse({"error": error}, HTTPStatus.BAD_REQUEST)
        behaviour = self.script.popleft() if self.script else Behaviour()
        await asyncio.sleep(behaviour.delay)
        if behaviour.is_raw:
            return _raw_response(behaviour)
        text = _compose(body) if behaviour.text is None else behaviour.text
        if body.get("stream"):
            return StreamingResponse(
                self._stream(body, text, behaviour), media_type="text/event-stream"
            )
        return JSONResponse(_completion(body, text, behaviour), headers=dict(behaviour.headers))

    async def _stream(
        self, body: Mapping[str, Any], text: str, behaviour: Behaviour
    ) -> AsyncIterator[str]:
        self.streams_open += 1
        try:
            for number, word in enumerate(re.findall(r"\S+\s*", text)):
                if number == behaviour.breaks_off_after:
                    return
                yield _chunk(body, {"content": word})
                self.chunks_sent += 1
                await asyncio.sleep(behaviour.chunk_delay)
            for index, call in enumerate(behaviour.tool_calls):
                await asyncio.sleep(behaviour.chunk_delay)
                yield _chunk(body, {"tool_calls": [{"index": index, **call}]})
            yield _chunk(body, {}, behaviour.finish_reason)
            if (body.get("stream_options") or {}).get("include_usage"):
                yield _chunk(body, None, usage=_usage(body, text))
            yield "data: [DONE]\n\n"
        finally:
            self.streams_open -= 1

    async def _embed(self, request: Request) -> Response:
        body = await request.json()
        self.embedding_requests.append(body)
        behaviour = self.embedding_script.popleft() if self.embedding_script else Behaviour()
        await asyncio.sleep(behaviour.delay)
        if behaviour.is_raw:
            return _raw_response(behaviour)
        vectors = [
            compose_vector(text, body.get("dimensions", DIMENSIONS)) for text in body["input"]
        ]
        data = [
            {"object": "embedding", "index": i, "embedding": vector}
            for i, vector in enumerate(vectors)
        ]
        tokens = sum(map(len, body["input"])) // 4
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse(
            {"object": "list", "model": body["model"], "data": data, "usage": usage}
        )

    async def _list_models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": MODEL_NAME, "object": "model"}]})


def compose_answer(messages: list[dict[str, Any]]) -> str:
    """Compose an answer that quotes what the model was given: history and memory."""
    users = [m["content"] for m in messages if m["role"] == "user"]
    blocks = [found for content in users for found in BLOCK.finditer(content)]
    texts = [BLOCK.sub("", m["content"] or "") for m in messages if m["role"] != "system"]
    said = [text for text in (text.replace(DATA_NOTICE, "").strip() for text in texts) if text]
    last, earlier = (said[-1], len(said) - 1) if said else ("", 0)
    answer = f'You said: "{last}". I was given {earlier} earlier messages of this session.'
    quotes = (
        f"{INTRODUCTIONS[found[1]]}: {found[2].strip()[:MAX_QUOTED]}"
        for found in blocks
        if found[1] in INTRODUCTIONS
    )
    return " ".join([answer, *quotes])


def compose_summary(messages: list[dict[str, Any]]) -> str:
    """Compose the JSON of `summarise.v1`: the notes so far plus the user's statements."""
    block = next(
        found
        for m in messages
        if (found := BLOCK.search(m["content"])) and found[1] == "conversation"
    )
    given = json.loads(block[2])
    said = [
        line["content"]
        for turn in given["turns"]
        for line in turn["messages"]
        if line["role"] == "user"
    ]
    statements = [found for text in said for found in STATEMENT.findall(text)] or said[:1]
    notes = " ".join([*([given["notes"]] if given["notes"] else []), *statements])
    return json.dumps(
        {
            "title": (statements or ["Silence"])[0][:80],
            "summary": notes[-1600:] or "Nothing was said.",
        }
    )


def compose_vector(text: str, dimensions: int) -> list[float]:
    """Compose a unit vector from hashed n-grams: texts with similar words have similar vectors."""
    vector = [0.0] * dimensions
    for word in re.findall(r"[^\W\d_]{4,}", text.lower()):
        for start in range(len(word) - LETTERS + 1):
            vector[zlib.crc32(word[start : start + LETTERS].encode()) % dimensions] += 1
    length = math.hypot(*vector) or 1.0
    return [number / length for number in vector] if any(vector) else [1.0, *vector[1:]]


def _compose(body: Mapping[str, Any]) -> str:
    compose = compose_summary if "response_format" in body else compose_answer
    return compose(body["messages"])


def _raw_response(behaviour: Behaviour) -> Response:
    return Response(behaviour.body, behaviour.status, dict(behaviour.headers), "application/json")


def _completion(body: Mapping[str, Any], text: str, behaviour: Behaviour) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if behaviour.tool_calls:
        message["tool_calls"] = list(behaviour.tool_calls)
    choice = {"index": 0, "message": message, "finish_reason": behaviour.finish_reason}
    return _envelope(body, "chat.completion") | {"choices": [choice], "usage": _usage(body, text)}


def _chunk(
    body: Mapping[str, Any],
    delta: Mapping[str, Any] | None,
    finish_reason: str | None = None,
    usage: Mapping[str, int] | None = None,
) -> str:
    choices = (
        [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    )
    chunk = _envelope(body, "chat.completion.chunk") | {"choices": choices, "usage": usage}
    return f"data: {json.dumps(chunk)}\n\n"


def _envelope(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    model = body.get("model", MODEL_NAME)
    return {"id": "chatcmpl-scripted", "object": kind, "created": int(time.time()), "model": model}


def _usage(body: Mapping[str, Any], text: str) -> dict[str, int]:
    prompt_tokens, completion_tokens = len(json.dumps(body["messages"])) // 4, len(text) // 4
    total = prompt_tokens + completion_tokens
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": total,
    }


async def _serve() -> None:
    listener = listen(0)
    done = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, done.set)
    async with serving(ScriptedModel().app, listener):
        print(f"{address_of(listener)}/v1", flush=True)
        await done.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
