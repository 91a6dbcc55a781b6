#!/usr/bin/env python3
"""After `azd provision`: write local.settings.json, so that `func start` uses what was deployed.

azd passes every value of its environment to hooks as an environment variable. Nothing here is a
secret: the developer signs in with `az login` or `azd auth login`. Settings made by hand stay,
except those that point at emulators. Timers are disabled, unless they were enabled by hand: the
deployed app runs its own, on the same data.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AZURITE = {  # timers and queues of a laptop stay on it; its address and key are the same everywhere
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "QUEUE_ENDPOINT": "http://127.0.0.1:10001/devstoreaccount1",
    "QUEUE_KEY": (
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    ),
}
NEEDED = {
    "FUNCTIONS_WORKER_RUNTIME": "python",  # needed by func, refused by Flex Consumption
    **AZURITE,
    "PYTHON_ENABLE_INIT_INDEXING": "1",
    "AUTH_MODE": "local",
    "AzureWebJobs.summarise_idle_sessions.Disabled": "true",
    "AzureWebJobs.sweep_deleted_sessions.Disabled": "true",
}
DEPLOYED = (
    "COSMOS_ENDPOINT",
    "COSMOS_DATABASE",
    "REDIS_HOST",
    "REDIS_PORT",
    "AZURE_OPENAI_ENDPOINT",
    "CHAT_MODEL",
    "EMBEDDING_MODEL",
)
OF_EMULATORS = (
    "COSMOS_KEY",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "EMBEDDING_BASE_URL",
    "EMBEDDING_API_KEY",
    "MEMORY_TOKENS",
    "REDIS_SOCKET",
    "REDIS_TLS",
)


def settings_for(before: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of a laptop, given the ones it had. Idempotent."""
    kept = {name: value for name, value in before.items() if name not in {*OF_EMULATORS, *DEPLOYED}}
    deployed = {name: environment[name] for name in DEPLOYED if environment.get(name)}
    if "REDIS_HOST" not in deployed:
        deployed.pop("REDIS_PORT", None)
    return {**NEEDED, **kept, **deployed}


def main(root: Path = ROOT) -> None:
    """Write the file."""
    target = root / "local.settings.json"
    before = (
        json.loads(target.read_text("utf-8-sig")) if target.exists() else {}
    )  # some editors put a BOM before it
    values = settings_for(before.get("Values", {}), os.environ)
    target.write_text(
        json.dumps({**before, "IsEncrypted": False, "Values": values}, indent=2) + "\n", "utf-8"
    )
    sys.stdout.write(f"{target.name}: {', '.join(sorted(values))}\n")


if __name__ == "__main__":
    main()
