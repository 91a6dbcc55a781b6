"""`python -m operate.dead_letters` without settings, without the queue, and with many sessions."""

import pytest

from cosmos_local import LocalCosmos
from operate import dead_letters
from shared.adapters.cosmos.items import empty_header
from shared.domain.ids import Gen, SessionId, UserId
from tests.processes.conftest import NO_QUEUE
from tests.support.app import Keepsake
from tests.support.build import NOON
from tests.support.processes import program
from tests.support.rows import create_items

pytestmark = pytest.mark.xdist_group("worker")


def test_a_missing_setting_is_named() -> None:
    """Without the app's settings, one line names what is missing."""
    with program("-m", "operate.dead_letters") as running:
        assert running.wait() == 1
        assert running.error_output().startswith("dead_letters: Keepsake cannot start. AUTH_MODE: ")
        assert running.error_output().count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--requeue"]])
def test_an_unavailable_queue_is_reported(
    worker_settings: dict[str, str], arguments: list[str]
) -> None:
    """An unavailable queue is reported in one line, and the exit code is 1."""
    with program(
        "-m", "operate.dead_letters", *arguments, settings=worker_settings | NO_QUEUE
    ) as running:
        assert running.process.wait(30) == 1
        assert running.error_output().startswith("dead_letters: the queue does not answer; ")
        assert running.error_output().count("\n") == 1


@pytest.mark.anyio
async def test_twenty_sessions_are_listed(
    keepsake: Keepsake, cosmos: LocalCosmos, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty sessions are listed, with a count of reasons and of further ones."""
    fields = {"turn_count": 1, "dead_lettered": "model_unavailable", "ttl": -1}
    headers = [
        empty_header(UserId("ada"), SessionId(f"s{n}"), Gen(f"{n:032x}"), 0, None, NOON)
        for n in range(22)
    ]
    await create_items(cosmos, "ada", [header | fields for header in headers])
    await dead_letters._list((await keepsake.composition.services()).schedule)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "dead-lettered sessions: 22 (22 model_unavailable)",
        "poison messages: 0",
    ]
    assert {line.split("\t", 1)[0] for line in lines[2:22]} == {"ada"}
    assert lines[22:] == ["... and 2 more"]
