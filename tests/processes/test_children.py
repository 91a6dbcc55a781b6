"""Child processes end with their block, even if they ignore signals."""

import signal
import sys
from pathlib import Path

import pytest

from local import children

pytestmark = pytest.mark.anyio
IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


async def test_a_child_that_ignores_sigterm_is_killed(
    tmp_path: Path,
) -> None:
    """It gets SIGTERM and, after a while, SIGKILL."""
    ignoring_child = children.child(
        sys.executable, "-c", IGNORES_SIGTERM, log=tmp_path / "log", stop_seconds=0.2
    )
    async with ignoring_child as process:
        assert await children.first_line(process, tmp_path / "log") == "ready"
    assert process.returncode == -signal.SIGKILL
