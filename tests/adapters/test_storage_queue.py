"""The queue's adapter on Azurite alone, where no function takes its messages away."""

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
    pytest.mark.skipif(
        not can_run(), reason="no Azurite (npm was not there): the queue is NOT tested"
    ),
]


@pytest.fixture
def quiet() -> Iterator[Azurite]:
    """An Azurite of one's own."""
    with Azurite() as running:
        yield running


async def test_a_message_lives_for_a_day(quiet: Azurite) -> None:
    """In the encoding that the host expects; also one that was put aside and is sent once more."""
    queue = StorageQueue(QueueAccount(quiet.endpoint, AZURITE_KEY, seconds=2.5))
    await queue.put(ConsolidationJob(UserId("ada"), SessionId("s")))
    with quiet.queue(POISON) as poison:
        poison.send_message("set aside")
    assert (await queue.length(), await queue.count_poison(), await queue.requeue()) == (1, 1, 1)
    assert (await queue.length(), await queue.count_poison()) == (2, 0)
    await queue.close()
    with quiet.queue(QUEUE) as plain:
        first, second = waiting = plain.peek_messages(2)
    assert json.loads(base64.b64decode(first.content)) == {"user_id": "ada", "session_id": "s"}
    assert second.content == "set aside"
    lives = [
        one.expires_on - one.inserted_on for one in waiting if one.expires_on and one.inserted_on
    ]
    assert lives == [timedelta(days=1)] * 2
