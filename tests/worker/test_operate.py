"""`python -m operate.parked` where it cannot do its work, and where there is much to show."""

import pytest

from cosmos_local import LocalCosmos
from operate import parked
from shared.adapters.cosmos_items import empty_header
from shared.domain.ids import Gen, SessionId, UserId
from tests.support.app import Keepsake
from tests.support.build import NOON
from tests.support.rows import create_items
from tests.worker.conftest import NO_QUEUE
from tests.worker.processes import program

pytestmark = pytest.mark.xdist_group("worker")


def test_without_its_settings_it_says_so() -> None:
    """A shell without the app's settings: one line names what is missing."""
    with program("-m", "operate.parked") as running:
        assert running.wait() == 1
        assert running.said().startswith("parked: Keepsake cannot start. AUTH_MODE: ")
        assert running.said().count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--revive"]])
def test_without_the_queue_it_says_so(
    worker_settings: dict[str, str], arguments: list[str]
) -> None:
    """A firewall or a missing role is told in one line, and the exit code says that nothing was done."""
    with program(
        "-m", "operate.parked", *arguments, settings=worker_settings | NO_QUEUE
    ) as running:
        assert running.process.wait(30) == 1
        assert running.said().startswith("parked: the queue does not answer; ")
        assert running.said().count("\n") == 1


@pytest.mark.anyio
async def test_of_many_twenty_are_shown(
    keepsake: Keepsake, cosmos: LocalCosmos, capsys: pytest.CaptureFixture[str]
) -> None:
    """With their reasons counted, and how many more there are."""
    rest = {"turn_count": 1, "parked": "model_unavailable", "ttl": -1}
    headers = [
        empty_header(UserId("ada"), SessionId(f"s{n}"), Gen(f"{n:032x}"), 0, None, NOON)
        for n in range(22)
    ]
    await create_items(cosmos, "ada", [header | rest for header in headers])
    await parked._show((await keepsake.composition.services()).idle_sessions)
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["22 sessions are parked: 22 model_unavailable", "0 messages are poison"]
    assert {line.split("\t", 1)[0] for line in said[2:22]} == {"ada"}
    assert said[22:] == ["... and 2 more"]
