"""Jobs as messages of a queue, and back."""

import json

from shared.domain.errors import InvalidId
from shared.domain.ids import SessionId, UserId
from shared.ports.jobs import ConsolidationJob

FIELDS = {"user_id", "session_id"}


class InvalidJob(ValueError):
    """A message of the queue is no job; it goes where poison goes."""


def write_job(job: ConsolidationJob) -> str:
    """The message of a job."""
    return json.dumps({"user_id": job.user.value, "session_id": job.session.value})


def read_job(message: bytes | str) -> ConsolidationJob:
    """The job of a message.

    Raises:
        InvalidJob: it is not one that write_job wrote.
    """
    try:
        fields = json.loads(message)
        if not isinstance(fields, dict) or fields.keys() != FIELDS:
            raise InvalidJob("A message has other fields than a job")
        return ConsolidationJob(UserId(fields["user_id"]), SessionId(fields["session_id"]))
    except (ValueError, TypeError, AttributeError, RecursionError, InvalidId) as unfit:
        raise InvalidJob("A message is no job") from unfit
