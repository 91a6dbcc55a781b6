"""Take one turn with the real worker in this process, and list the modules it imported.

Run as `python -m tests.processes.probe`.
"""

import asyncio
import json
import sys

import httpx

from devtools.functions import open_front
from devtools.worker_protocol import Worker
from local.serving import address_of, listen, serving
from tests.support.processes import ROOT


async def main() -> None:
    """Print the response's status and the modules that the app and the turn have imported."""
    modules_before = set(sys.modules)
    worker = await Worker.start(ROOT)
    front = listen(0)
    async with (
        open_front(worker, ROOT) as app,
        serving(app, front),
        httpx.AsyncClient(base_url=f"{address_of(front)}/api", timeout=20) as client,
    ):
        answer = await client.post("/chat", json={"message": "Hello"}, headers={"x-user-id": "ada"})
    json.dump(
        {"status": answer.status_code, "imported": sorted(set(sys.modules) - modules_before)},
        sys.stdout,
    )


if __name__ == "__main__":
    asyncio.run(main())
