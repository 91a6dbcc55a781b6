"""`python -m local`: Keepsake on a laptop. One parent serves the API and supervises what it needs as children."""

import argparse
import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, DatabaseInUseError, LocalCosmos
from local import model, small_model
from local.children import RESTART_SECONDS, ChildError, child
from local.jobs import LocalQueue
from local.models import running_models
from local.redis import server_arguments, server_binary, socket_folder, until_listening
from local.serving import address_of, listen, serving
from local.tasks import beside
from shared.background import Background
from shared.composition import Composition
from shared.domain.errors import KeepsakeError
from shared.http.app import create_api
from shared.settings import AZURE_MARKS, AuthMode, SettingsError, load_settings

CONTAINERS = Path(__file__).resolve().parent.parent / "infra" / "containers.json"
TIMER_SECONDS = 60.0  # in Azure timer triggers come every five minutes
NOTES = {
    model.MODEL_NAME: "Answers come from a scripted stand-in, which only says what it was given.",
    small_model.MODEL_NAME: "Answers come from SmolLM2-135M, a real model, but a tiny one: it is often wrong.",
}
OTHER_MODELS = """\
For a better model start it with one of these before the command:
  Ollama  OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_API_KEY=none CHAT_MODEL=llama3.2
  OpenAI  OPENAI_BASE_URL=https://api.openai.com/v1 OPENAI_API_KEY=<key> CHAT_MODEL=<model>
  Azure   AZURE_OPENAI_ENDPOINT=https://<name>.openai.azure.com CHAT_MODEL=<deployment>   (az login comes first)"""


class StartError(RuntimeError):
    """It cannot start; the message says what to do."""


def main() -> int:
    """Run until a signal or a dead child: 0 after a signal, else 1 and a line that says why."""
    arguments = _parse()
    try:
        _check_mode(os.environ.get("AUTH_MODE") or AuthMode.LOCAL)
        _check_model(os.environ.get("LOCAL_MODEL") or "off")
        with _own_folder(arguments.data), contextlib.closing(_front(arguments.port)) as front:
            return asyncio.run(_until_signal(_run(front, arguments.data)))
    except (StartError, ChildError, SettingsError, DatabaseInUseError) as failed:
        print(f"keepsake: {failed}", file=sys.stderr)
        return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description="Keepsake on a laptop.")
    parser.add_argument(
        "--port", type=int, default=7071, help="where /api is served (default 7071)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(".local"),
        help="where everything is kept (default .local)",
    )
    return parser.parse_args()


def _check_mode(mode: str) -> None:
    """Serve no other mode than asked for: no platform stands here that would check a key."""
    if mode != AuthMode.LOCAL:
        raise StartError(
            f"AUTH_MODE={mode[:20]} is for the Functions host; `make run` serves AUTH_MODE=local, or leave it out"
        )


def _check_model(choice: str) -> None:
    if choice != "off":
        raise StartError("LOCAL_MODEL: set it to off for the scripted model, or do not set it")


@contextlib.contextmanager
def _own_folder(data: Path) -> Iterator[None]:
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("w")
    except OSError as failed:
        raise StartError(
            f"{data} cannot be used as a folder ({failed.strerror}); give --data another"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(
                f"another Keepsake runs on {data.resolve()}; stop it or give --data"
            ) from None
        yield


def _front(port: int) -> socket.socket:
    try:
        return listen(port)
    except OSError:
        raise StartError(f"port {port} is taken; stop what uses it or give --port") from None


async def _until_signal(work: Coroutine[None, None, None]) -> int:
    task = asyncio.create_task(work)

    def stop() -> None:
        if task.cancelling():
            os._exit(130)  # a second Ctrl-C: at once; the children die with us
        task.cancel()

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    try:
        await task
    except asyncio.CancelledError:
        return 0
    return 1


async def _run(front: socket.socket, data: Path) -> None:
    async with (
        running_models(data) as model_ended,
        _redis(data),
        _composed(data) as composition,
    ):
        async with (
            serving(create_api(composition), front) as server_ended,
            beside(_tick(composition)) as timers_ended,
        ):
            _greet(address_of(front), own_model=model_ended is not None)
            parts = {
                "the model": model_ended,
                "the web server": server_ended,
                "the timers": timers_ended,
            }
            ended = await _first_to_end({name: task for name, task in parts.items() if task})
        raise StartError(f"{ended} ended and took the rest along; what it said is in {data}")


async def _first_to_end(parts: Mapping[str, asyncio.Task[Any]]) -> str:
    await asyncio.wait(parts.values(), return_when=asyncio.FIRST_COMPLETED)
    return next(name for name, task in parts.items() if task.done())


@contextlib.asynccontextmanager
async def _redis(data: Path) -> AsyncIterator[None]:
    """The Redis of the environment, or else one of our own; when it dies it is started again, as Azure's would be."""
    if os.environ.get("REDIS_HOST"):
        yield
        return
    binary = server_binary()
    with socket_folder() as path:

        async def serve() -> None:
            while True:
                async with child(
                    *server_arguments(binary, path, data), log=data / "redis.log", speaks=False
                ) as process:
                    await process.wait()
                await asyncio.sleep(RESTART_SECONDS)

        async with beside(serve()):
            await until_listening(path)
            os.environ["REDIS_SOCKET"] = str(path)
            yield


@contextlib.asynccontextmanager
async def _composed(data: Path) -> AsyncIterator[Composition]:
    """The app's composition over the local Cosmos DB, in process."""
    os.environ |= {"AUTH_MODE": "local", "COSMOS_ENDPOINT": LOCAL_ENDPOINT, "COSMOS_KEY": LOCAL_KEY}
    for mark in AZURE_MARKS:
        os.environ.pop(
            mark, None
        )  # a dev container may carry one; this program serves loopback only
    settings = load_settings()
    queue = LocalQueue()
    with contextlib.closing(LocalCosmos.open(data / "cosmos.sqlite", CONTAINERS)) as cosmos:
        composition = Composition(settings, cosmos_transport=cosmos.transport(), jobs=queue)
        try:
            async with queue.working(Background(composition).consolidate_session):
                yield composition
        finally:
            await composition.close()


async def _tick(composition: Composition) -> None:
    """The work of the timers."""
    background = Background(composition)
    while True:
        for run in (background.sweep_deleted_sessions, background.summarise_idle_sessions):
            with contextlib.suppress(
                KeepsakeError
            ):  # the next round tries again, as the next tick would
                await run()
        await asyncio.sleep(TIMER_SECONDS)


def _greet(address: str, *, own_model: bool) -> None:
    print(
        f"Keepsake is ready at {address}/api (documentation: {address}/api/docs). Ctrl-C stops it."
    )
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
