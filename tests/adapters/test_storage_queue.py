"""The Storage queue's adapter on Azurite, without a function that consumes messages."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from devtools.queue_pump import AZURITE_KEY
from shared.adapters.queue.storage_queue import POISON, QUEUE, QueueAccount, StorageQueue
from shared.domain.ids import SessionId, UserId
from shared.ports.jobs import ConsolidationJob
from tests.support.azurite import Azurite, can_run

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not can_run(), reason="SKIPPED: Azurite is not installed (it needs npm)"),
]


@pytest.fixture
def idle_azurite() -> Iterator[Azurite]:
    """An Azurite without consumers."""
    with Azurite() as running:
        yield running


async def test_a_message_expires_after_a_day(idle_azurite: Azurite) -> None:
    """Messages have the host's encoding and expire after a day, also when requeued."""
    queue = StorageQueue(QueueAccount(idle_azurite.endpoint, AZURITE_KEY, seconds=2.5))
    await queue.put(ConsolidationJob(UserId("ada"), SessionId("s")))
    with idle_azurite.queue(POISON) as poison:
        poison.send_message("set aside")
    assert (await queue.length(), await queue.count_poison(), await queue.requeue()) == (1, 1, 1)
    assert (await queue.length(), await queue.count_poison()) == (2, 0)
    await queue.close()
    with idle_azurite.queue(QUEUE) as plain:
        first, second = waiting = plain.peek_messages(2)
    assert json.loads(base64.b64decode(first.content)) == {"user_id": "ada", "session_id": "s"}
    assert second.content == "set aside"
    lifetimes = [
        one.expires_on - one.inserted_on for one in waiting if one.expires_on and one.inserted_on
    ]
    assert lifetimes == [timedelta(days=1)] * 2
