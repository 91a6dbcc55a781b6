"""`python -m bench.instant_model`: a chat and embedding model that takes next to no time.

It returns the same completion, or the same two vectors, to every request, without a web framework.
It prints its address once it is ready.
"""

import asyncio
import json
import math
import signal

from shared.domain.vectors import DIMENSIONS

COMPLETION = {
    "id": "chatcmpl-instant",
    "object": "chat.completion",
    "created": 0,
    "model": "instant",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102},
}
VECTOR = [round(math.sin(number) / 16, 6) for number in range(1, DIMENSIONS + 1)]  # of length 1
EMBEDDINGS = {
    "object": "list",
    "model": "instant",
    "data": [{"object": "embedding", "index": index, "embedding": VECTOR} for index in range(2)],
    "usage": {"prompt_tokens": 20, "total_tokens": 20},
}
LENGTH = b"content-length:"


def _answer(body: object) -> bytes:
    raw = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        len(raw),
        raw,
    )


ANSWERS = {True: _answer(EMBEDDINGS), False: _answer(COMPLETION)}


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection until it is closed."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(
                int(head.split(LENGTH)[1].split(b"\r\n")[0]) if LENGTH in head else 0
            )
            writer.write(ANSWERS[b"/embeddings " in head])
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve() -> None:
    """Serve until a signal."""
    done = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, done.set)
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
        await done.wait()


if __name__ == "__main__":
    asyncio.run(serve())
