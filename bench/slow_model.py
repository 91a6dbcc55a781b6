"""`python -m bench.slow_model SECONDS`: the scripted model, each answer so many seconds late, vectors a tenth of that.

It forgets what it was asked, so that it stays small however long a bench runs. Its first line is its address.
"""

import asyncio
import signal
import sys

from starlette.types import Receive, Scope, Send

from local.model import ScriptedModel
from local.serving import address_of, listen, serving


async def serve(seconds: float) -> None:
    """Serve until a signal."""
    model, front, done = ScriptedModel(), listen(0), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, done.set)

    async def slowed(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(
            seconds / 10 if scope.get("path", "").endswith("/embeddings") else seconds
        )
        await model.app(scope, receive, send)
        model.requests.clear()
        model.embedding_requests.clear()

    async with serving(slowed, front):
        print(f"{address_of(front)}/v1", flush=True)
        await done.wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
