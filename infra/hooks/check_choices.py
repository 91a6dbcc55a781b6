#!/usr/bin/env python3
"""Before `azd provision`: reject choices with which the app would not start.

azd gives every value of its environment to hooks as an environment variable.
"""

import os
import sys
from collections.abc import Mapping

DEFAULTS = {"AUTH_MODE": "entra"}  # as in main.bicep
NEEDED = {  # by a choice
    ("AUTH_MODE", "entra"): "ENTRA_AUDIENCE",
    ("OPENAI_MODE", "existing"): "EXISTING_OPENAI_ENDPOINT",
    ("REDIS_MODE", "existing"): "EXISTING_REDIS_HOST",
}


def faults(environment: Mapping[str, str]) -> list[str]:
    """What is missing, one sentence each."""
    chosen = DEFAULTS | {name: value for name, value in environment.items() if value}
    return [
        f"{choice}={value} needs {needed}: `azd env set {needed} ...` (docs/deploy.md)."
        for (choice, value), needed in NEEDED.items()
        if chosen.get(choice) == value and needed not in chosen
    ]


def main() -> int:
    """Print them; 1 if there are any."""
    found = faults(os.environ)
    sys.stderr.write("".join(f"{fault}\n" for fault in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
