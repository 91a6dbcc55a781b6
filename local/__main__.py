"""`python -m local`: Keepsake on a laptop.

One process serves the API and supervises the models and Redis as child processes.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, DatabaseInUseError, LocalCosmos
from local import model, small_model
from local.children import RESTART_SECONDS, ChildError, child
from local.data_folder import DATABASE, DataFolderError, open_data_folder
from local.jobs import LocalQueue
from local.models import running_models
from local.redis import server_arguments, server_binary, socket_folder, until_listening
from local.serving import address_of, listen, serving
from local.tasks import background_task
from shared.bootstrap.background import Background
from shared.bootstrap.composition import Composition
from shared.domain.errors import KeepsakeError
from shared.http.app import create_api
from shared.settings import AZURE_MARKS, AuthMode, SettingsError, load_settings

CONTAINERS = Path(__file__).resolve().parent.parent / "infra" / "containers.json"
TIMER_SECONDS = 60.0  # the timer triggers in Azure fire every five minutes
NOTES = {
    model.MODEL_NAME: "The chat model is scripted: it only repeats what it was given.",
    small_model.MODEL_NAME: "The chat model is SmolLM2-135M: real, but tiny and often wrong.",
}
OTHER_MODELS = """\
For a better one, put one of these lines before the command:
  Ollama  OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_API_KEY=none CHAT_MODEL=llama3.2
  OpenAI  OPENAI_BASE_URL=https://api.openai.com/v1 OPENAI_API_KEY=<key> CHAT_MODEL=<model>
  Azure   AZURE_OPENAI_ENDPOINT=https://<name>.openai.azure.com CHAT_MODEL=<deployment>
          (sign in with `az login` first)"""


class StartError(RuntimeError):
    """Keepsake cannot start or go on; the message says why, and what to do."""


def main() -> int:
    """Run until a signal (returns 0) or a failure (returns 1 and prints one line that says why)."""
    arguments = _parse()
    try:
        _check_auth_mode(os.environ.get("AUTH_MODE") or AuthMode.LOCAL)
        _check_local_model(os.environ.get("LOCAL_MODEL") or "off")
        with (
            open_data_folder(arguments.data),
            contextlib.closing(_listen(arguments.port)) as listener,
        ):
            return asyncio.run(_until_signal(_run(listener, arguments.data)))
    except (StartError, ChildError, SettingsError, DataFolderError, DatabaseInUseError) as failed:
        print(f"keepsake: {failed}", file=sys.stderr)
        return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description="Keepsake on a laptop.")
    parser.add_argument(
        "--port", type=int, default=7071, help="port to serve on (default: %(default)s)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(".local"),
        help="folder for all data and logs (default: %(default)s)",
    )
    return parser.parse_args()


def _check_auth_mode(mode: str) -> None:
    """Refuse the modes that rely on Azure to check a key or a token."""
    if mode != AuthMode.LOCAL:
        raise StartError(
            f"AUTH_MODE={mode[:20]} needs the Functions host; "
            "set AUTH_MODE=local for `make run`, or leave it unset"
        )


def _check_local_model(choice: str) -> None:
    if choice != "off":
        raise StartError(
            "LOCAL_MODEL: set it to off for the scripted chat model, or leave it unset"
        )


def _listen(port: int) -> socket.socket:
    try:
        return listen(port)
    except OSError as failed:
        raise StartError(
            f"port {port} is in use; stop the program that uses it, or choose another with --port"
        ) from failed


async def _until_signal(work: Coroutine[None, None, None]) -> int:
    task = asyncio.create_task(work)

    def stop() -> None:
        if task.cancelling():
            os._exit(130)  # a second Ctrl-C does not wait; the children die with this process
        task.cancel()

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    try:
        await task
    except asyncio.CancelledError:
        return 0
    return 1


async def _run(listener: socket.socket, data: Path) -> None:
    async with (
        running_models(data) as model_ended,
        _redis(data),
        _composed(data) as composition,
    ):
        async with (
            serving(create_api(composition), listener) as server_ended,
            background_task(tick(composition)) as timers_ended,
        ):
            _greet(address_of(listener), own_model=model_ended is not None)
            parts = {
                "the model": model_ended,
                "the web server": server_ended,
                "the timers": timers_ended,
            }
            ended = await _first_to_end({name: task for name, task in parts.items() if task})
        raise StartError(f"{ended} ended unexpectedly, so Keepsake stopped; see the logs in {data}")


async def _first_to_end(parts: Mapping[str, asyncio.Task[Any]]) -> str:
    await asyncio.wait(parts.values(), return_when=asyncio.FIRST_COMPLETED)
    return next(name for name, task in parts.items() if task.done())


@contextlib.asynccontextmanager
async def _redis(data: Path) -> AsyncIterator[None]:
    """Use the Redis of the environment, or run one, which is restarted when it dies."""
    if os.environ.get("REDIS_HOST"):
        yield
        return
    with socket_folder() as path:
        command = server_arguments(server_binary(), path, data)
        async with background_task(_keep_running(*command, log=data / "redis.log")):
            await until_listening(path)
            os.environ["REDIS_SOCKET"] = str(path)
            yield


async def _keep_running(*command: str, log: Path) -> None:
    while True:
        async with child(*command, log=log, capture=False) as process:
            await process.wait()
        await asyncio.sleep(RESTART_SECONDS)


@contextlib.asynccontextmanager
async def _composed(data: Path) -> AsyncIterator[Composition]:
    """Compose the app over the local Cosmos DB, in this process, and work on its jobs."""
    os.environ |= {"AUTH_MODE": "local", "COSMOS_ENDPOINT": LOCAL_ENDPOINT, "COSMOS_KEY": LOCAL_KEY}
    for mark in AZURE_MARKS:  # a dev container may have one; this program serves loopback only
        os.environ.pop(mark, None)
    settings = load_settings()
    queue = LocalQueue()
    with contextlib.closing(LocalCosmos.open(data / DATABASE, CONTAINERS)) as cosmos:
        composition = Composition(settings, cosmos_transport=cosmos.transport(), jobs=queue)
        try:
            async with queue.working(Background(composition).consolidate_session):
                yield composition
        finally:
            await composition.close()


async def tick(composition: Composition, seconds: float = TIMER_SECONDS) -> None:
    """Run what the timer triggers run, with this many seconds between runs."""
    background = Background(composition)
    while True:
        for run in (background.sweep_deleted_sessions, background.summarise_idle_sessions):
            with contextlib.suppress(KeepsakeError):  # the next run tries again, as in Azure
                await run()
        await asyncio.sleep(seconds)


def _greet(address: str, *, own_model: bool) -> None:
    print(f"Keepsake is ready at {address}/api (API docs: {address}/docs). Ctrl-C stops it.")
    if own_model:
        print(NOTES[os.environ["CHAT_MODEL"]], OTHER_MODELS, sep="\n")
    print("Try:")
    print(
        f"  curl -s {address}/api/chat -H 'x-user-id: ada' -H 'content-type: application/json'"
        """ -d '{"message": "Hello", "session_id": "first"}'""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
