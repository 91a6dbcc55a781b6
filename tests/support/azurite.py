"""Azurite's queue service, if `make test` could install it: a real queue for the queue function."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueClient

from devtools.queue_pump import AZURITE, AZURITE_KEY

ROOT = Path(__file__).resolve().parents[2]
MAIN = (
    ROOT / ".venv" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "queue" / "main.js"
)
LISTENING = "successfully listens on "
DEADLINE = 30.0
QUEUES = ("consolidate-session", "consolidate-session-poison")


def can_run() -> bool:
    """Whether Azurite is installed."""
    return MAIN.exists() and shutil.which("node") is not None


class Azurite:
    """A queue service in memory, with Keepsake's two queues."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._folder = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""

    @property
    def endpoint(self) -> str:
        """The value for QUEUE_ENDPOINT."""
        return f"{self.address}/devstoreaccount1"

    @property
    def settings(self) -> dict[str, str]:
        """The settings of an app and its host; a failed message is delivered again at once."""
        return {
            "QUEUE_ENDPOINT": self.endpoint,
            "QUEUE_KEY": AZURITE_KEY,
            "AzureWebJobsStorage": f"{AZURITE}QueueEndpoint={self.endpoint};",
            "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:00",
        }

    def queue(self, name: str) -> QueueClient:
        """A client to inspect a queue without the application."""
        return QueueClient(self.endpoint, name, credential=AZURITE_KEY)

    def reset(self) -> None:
        """Create both queues, or empty them."""
        for name in QUEUES:
            with self.queue(name) as queue:
                try:
                    queue.create_queue()
                except ResourceExistsError:
                    queue.clear_messages()

    def __enter__(self) -> Self:
        """Start, and wait until it listens."""
        command = [
            "node",
            str(MAIN),
            "--inMemoryPersistence",
            "--queueHost",
            "127.0.0.1",
            "--queuePort",
            "0",
        ]
        log = Path(self._folder.name) / "log"
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [*command, "--skipApiVersionCheck", "--disableTelemetry"],
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + DEADLINE
        while LISTENING not in (error_output := log.read_text()):
            assert time.monotonic() < deadline, f"Azurite did not start: {error_output}"
            time.sleep(0.02)
        self.address = error_output.split(LISTENING)[1].split()[0]
        self.reset()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()
