"""Conversion of jobs from and to queue messages."""

import json

from shared.domain.errors import InvalidId
from shared.domain.ids import SessionId, UserId
from shared.ports.jobs import ConsolidationJob

FIELDS = {"user_id", "session_id"}


class InvalidJob(ValueError):
    """A queue message is not a job; after five deliveries it is moved to the poison queue."""


def write_job(job: ConsolidationJob) -> str:
    """Write a job as a message."""
    return json.dumps({"user_id": job.user.value, "session_id": job.session.value})


def read_job(message: bytes | str) -> ConsolidationJob:
    """Read a job from a message.

    Raises:
        InvalidJob: the message is not one that `write_job` wrote.
    """
    try:
        fields = json.loads(message)
        if not isinstance(fields, dict) or fields.keys() != FIELDS:
            raise InvalidJob("The queue message does not have the fields of a job; delete it")
        return ConsolidationJob(UserId(fields["user_id"]), SessionId(fields["session_id"]))
    except (ValueError, TypeError, AttributeError, RecursionError, InvalidId) as invalid:
        raise InvalidJob("The queue message is not a job; delete it") from invalid
