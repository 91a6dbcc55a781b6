"""`python -m bench.slow_model SECONDS`: the scripted model with a fixed delay.

Chat completions take that long, embeddings a tenth of it. Requests are not kept, so memory does not
grow. It prints its address once it is ready.
"""

import asyncio
import signal
import sys

from starlette.types import Receive, Scope, Send

from local.model import ScriptedModel
from local.serving import address_of, listen, serving


async def serve(seconds: float) -> None:
    """Serve until a signal."""
    model, listener, done = ScriptedModel(), listen(0), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, done.set)

    async def delayed(scope: Scope, receive: Receive, send: Send) -> None:
        is_embedding = scope.get("path", "").endswith("/embeddings")
        await asyncio.sleep(seconds / 10 if is_embedding else seconds)
        await model.app(scope, receive, send)
        model.requests.clear()
        model.embedding_requests.clear()

    async with serving(delayed, listener):
        print(f"{address_of(listener)}/v1", flush=True)
        await done.wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
