"""Child processes end with the block they were begun for, whatever they think of it."""

import signal
import sys
from pathlib import Path

import pytest

from local import children

pytestmark = pytest.mark.anyio
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


async def test_a_child_that_does_not_listen_is_killed(
    tmp_path: Path,
) -> None:
    """It is asked to end, and after a while made to."""
    deaf = children.child(sys.executable, "-c", DEAF, log=tmp_path / "log", patience=0.2)
    async with deaf as process:
        assert await children.first_line(process, tmp_path / "log") == "ready"
    assert process.returncode == -signal.SIGKILL
