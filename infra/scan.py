"""`python -m infra.scan`: what zizmor says of the workflows (ADR 21).

It runs in an environment of its own and needs no network once it is installed. Where it cannot be
installed, this prints SKIPPED and passes.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).parent / "uv"
ZIZMOR = "zizmor==1.32.0"


def scan_workflows(workflows: Path = ROOT / ".github", uv: Path = UV) -> int:
    """Print what it finds; 1 if that is anything."""
    run = [str(uv), "tool", "run", "--quiet", ZIZMOR]
    installed = subprocess.run([*run, "--version"], capture_output=True, check=False)  # noqa: S603
    if installed.returncode:
        sys.stdout.write(
            f"SKIPPED: {ZIZMOR} cannot be installed here: workflows were not scanned\n"
        )
        return 0
    done = subprocess.run(  # noqa: S603 - both are ours
        [*run, "--offline", "--quiet", str(workflows)], capture_output=True, text=True, check=False
    )
    sys.stderr.write(done.stdout + done.stderr if done.returncode else "")
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(scan_workflows())
