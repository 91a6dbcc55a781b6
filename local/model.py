"""A scripted model behind an OpenAI-compatible address: answers follow from the request alone, or from a script.

`python -m local.model` serves it as a child process: its first line of output is its address.
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
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local.serving import address_of, listen, serving
from shared.domain.prompt import DATA_NOTICE

MODEL_NAME = "scripted"
BLOCK = re.compile(
    r"<(user_preferences|session_summary|recent_session|recalled_turns|conversation)>\n(.*?)\n</\1>",
    re.DOTALL,
)
SAYS = {
    "user_preferences": "I know what you prefer",
    "session_summary": "Earlier",
    "recent_session": "Last time",
    "recalled_turns": "You once said",
}
DIMENSIONS = 512  # of a vector, if a request does not say
MAX_SAID = (
    2000  # characters of a block: what is recalled of such answers must not grow from turn to turn
)
LETTERS = 3  # that are counted together: words of one stem are alike
STATEMENT = re.compile(r"(?:I|My|We|Our)\b[^.!?\n]*[.!]")  # what a summary is made of


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How to answer one request: as asked for, late, with an error, with text that is no answer, or never.

    A streamed answer comes word by word and call by call, `piece_delay` seconds apart, and may break off after so many
    words.
    """

    text: str | None = None
    finish_reason: str = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    delay: float = 0.0
    piece_delay: float = 0.0
    breaks_off_after: int | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()


class ScriptedModel:
    """The server's application, its scripts, and the requests it has seen."""

    def __init__(
        self, refuses: Callable[[Mapping[str, Any]], Sequence[str]] = lambda _: ()
    ) -> None:
        """Start with an empty script; a request for which `refuses` gives reasons gets a 400."""
        self._refuses = refuses
        self.script: deque[Behaviour] = deque()
        self.embedding_script: deque[Behaviour] = deque()
        self.requests: list[dict[str, Any]] = []
        self.embedding_requests: list[dict[str, Any]] = []
        self.streams_open = 0
        self.pieces_sent = 0
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/embeddings", self._embed, methods=["POST"]),
                Route("/v1/models", self._list_models),
            ]
        )

    async def _complete(self, request: Request) -> Response:
        asked = await request.json()
        self.requests.append(asked)
        if reasons := self._refuses(asked):
            return JSONResponse(
                {"error": {"message": "; ".join(reasons), "param": "messages"}}, 400
            )
        behaviour = self.script.popleft() if self.script else Behaviour()
        await asyncio.sleep(behaviour.delay)
        if behaviour.body is not None or behaviour.status != 200:  # noqa: PLR2004
            return Response(
                behaviour.body, behaviour.status, dict(behaviour.headers), "application/json"
            )
        text = behaviour.text
        if text is None:
            text = (
                compose_summary(asked["messages"])
                if "response_format" in asked
                else compose_answer(asked["messages"])
            )
        if asked.get("stream"):
            return StreamingResponse(
                self._stream(asked, text, behaviour), media_type="text/event-stream"
            )
        return JSONResponse(_completion(asked, text, behaviour), headers=dict(behaviour.headers))

    async def _stream(
        self, asked: Mapping[str, Any], text: str, behaviour: Behaviour
    ) -> AsyncIterator[str]:
        self.streams_open += 1
        try:
            for number, piece in enumerate(re.findall(r"\S+\s*", text)):
                if number == behaviour.breaks_off_after:
                    return
                yield _chunk(asked, {"content": piece})
                self.pieces_sent += 1
                await asyncio.sleep(behaviour.piece_delay)
            for index, call in enumerate(behaviour.tool_calls):
                await asyncio.sleep(behaviour.piece_delay)
                yield _chunk(asked, {"tool_calls": [{"index": index, **call}]})
            yield _chunk(asked, {}, behaviour.finish_reason)
            if (asked.get("stream_options") or {}).get("include_usage"):
                yield _chunk(asked, None, usage=_usage(asked, text))
            yield "data: [DONE]\n\n"
        finally:
            self.streams_open -= 1

    async def _embed(self, request: Request) -> Response:
        asked = await request.json()
        self.embedding_requests.append(asked)
        behaviour = self.embedding_script.popleft() if self.embedding_script else Behaviour()
        await asyncio.sleep(behaviour.delay)
        if behaviour.body is not None or behaviour.status != 200:  # noqa: PLR2004
            return Response(
                behaviour.body, behaviour.status, dict(behaviour.headers), "application/json"
            )
        vectors = [
            compose_vector(text, asked.get("dimensions", DIMENSIONS)) for text in asked["input"]
        ]
        data = [
            {"object": "embedding", "index": i, "embedding": vector}
            for i, vector in enumerate(vectors)
        ]
        tokens = sum(map(len, asked["input"])) // 4
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse(
            {"object": "list", "model": asked["model"], "data": data, "usage": usage}
        )

    async def _list_models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": MODEL_NAME, "object": "model"}]})


def compose_answer(messages: list[dict[str, Any]]) -> str:
    """An answer that shows what the model was given: how much history, and which stored data."""
    users = [m["content"] for m in messages if m["role"] == "user"]
    blocks = [found for content in users for found in BLOCK.finditer(content)]
    texts = [BLOCK.sub("", m["content"] or "") for m in messages if m["role"] != "system"]
    said = [text for text in (text.replace(DATA_NOTICE, "").strip() for text in texts) if text]
    last, earlier = (said[-1], len(said) - 1) if said else ("", 0)
    answer = f'You said: "{last}". I was given {earlier} earlier messages of this session.'
    return " ".join(
        [
            answer,
            *(
                f"{SAYS[found[1]]}: {found[2].strip()[:MAX_SAID]}"
                for found in blocks
                if found[1] in SAYS
            ),
        ]
    )


def compose_summary(messages: list[dict[str, Any]]) -> str:
    """Notes as `summarise.v1` asks for them: those so far, then every statement the user made about themselves."""
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
    """A vector of unit length whose angles follow from the letters that stand together in the words of the texts."""
    vector = [0.0] * dimensions
    for word in re.findall(r"[^\W\d_]{4,}", text.lower()):
        for start in range(len(word) - LETTERS + 1):
            vector[zlib.crc32(word[start : start + LETTERS].encode()) % dimensions] += 1
    length = math.hypot(*vector) or 1.0
    return [number / length for number in vector] if any(vector) else [1.0, *vector[1:]]


def _completion(asked: Mapping[str, Any], text: str, behaviour: Behaviour) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if behaviour.tool_calls:
        message["tool_calls"] = list(behaviour.tool_calls)
    choice = {"index": 0, "message": message, "finish_reason": behaviour.finish_reason}
    return _envelope(asked, "chat.completion") | {"choices": [choice], "usage": _usage(asked, text)}


def _chunk(
    asked: Mapping[str, Any],
    delta: Mapping[str, Any] | None,
    finish_reason: str | None = None,
    usage: Mapping[str, int] | None = None,
) -> str:
    choices = (
        [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    )
    chunk = _envelope(asked, "chat.completion.chunk") | {"choices": choices, "usage": usage}
    return f"data: {json.dumps(chunk)}\n\n"


def _envelope(asked: Mapping[str, Any], kind: str) -> dict[str, Any]:
    model = asked.get("model", MODEL_NAME)
    return {"id": "chatcmpl-scripted", "object": kind, "created": int(time.time()), "model": model}


def _usage(asked: Mapping[str, Any], text: str) -> dict[str, int]:
    prompt_tokens, completion_tokens = len(json.dumps(asked["messages"])) // 4, len(text) // 4
    total = prompt_tokens + completion_tokens
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": total,
    }


async def _serve() -> None:
    front = listen(0)
    done = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, done.set)
    async with serving(ScriptedModel().app, front):
        print(f"{address_of(front)}/v1", flush=True)
        await done.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
