"""The contract of the job queue, kept by every adapter that ships."""

from collections.abc import AsyncIterator, Iterator

import pytest

from devtools.queue_pump import AZURITE_KEY
from local.jobs import LocalQueue
from shared.adapters.queue.storage_queue import QueueAccount, StorageQueue
from shared.domain.ids import SessionId
from shared.ports.jobs import ConsolidationJob, JobQueue
from tests.support.azurite import Azurite, can_run
from tests.support.build import ADA

pytestmark = pytest.mark.anyio


def a_job(session: str = "s") -> ConsolidationJob:
    """A session of Ada to consolidate."""
    return ConsolidationJob(ADA, SessionId(session))


class JobQueueContract:
    """What the timer and every tenth turn rely on."""

    async def test_a_new_queue_is_empty(self, queue: JobQueue) -> None:
        """No job is waiting, and none has failed."""
        assert (await queue.length(), await queue.count_poison()) == (0, 0)

    async def test_each_job_waits(self, queue: JobQueue) -> None:
        """The length tells the timer how much there is to do."""
        for session in ("one", "two"):
            await queue.put(a_job(session))
        assert await queue.length() == 2

    async def test_the_same_job_may_wait_twice(self, queue: JobQueue) -> None:
        """Enqueuing again succeeds; the second delivery finds nothing to do."""
        for _ in range(2):
            await queue.put(a_job())
        assert await queue.length() == 2

    async def test_requeuing_nothing_succeeds(self, queue: JobQueue) -> None:
        """Without failed jobs there is nothing to put back, and waiting jobs stay."""
        await queue.put(a_job())
        assert (await queue.requeue(), await queue.length()) == (0, 1)


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    """A queue service for these tests alone."""
    with Azurite() as running:
        yield running


class TestLocalQueue(JobQueueContract):
    """The queue that `make run` uses."""

    @pytest.fixture
    def queue(self) -> LocalQueue:
        """An empty queue."""
        return LocalQueue()


@pytest.mark.skipif(not can_run(), reason="SKIPPED: Azurite is not installed (it needs npm)")
class TestStorageQueue(JobQueueContract):
    """The Storage queue, on Azurite."""

    @pytest.fixture
    async def queue(self, azurite: Azurite) -> AsyncIterator[StorageQueue]:
        """The adapter on an empty queue."""
        azurite.reset()
        queue = StorageQueue(QueueAccount(azurite.endpoint, AZURITE_KEY, seconds=10))
        yield queue
        await queue.close()
