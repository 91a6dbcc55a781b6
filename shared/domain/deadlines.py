"""Deadlines: how long each step of a request or a background run may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Every time limit of a worker, in seconds; tests pass their own.

    Each limit is shorter than that of its caller: a store call fits into the opening of a turn or
    into its commit, and those fit into the turn.
    """

    turn: float = 60.0  # a whole turn
    stream: float = 180.0  # a whole turn that is read while it is written
    first_token: float = 15.0  # of a streamed reply
    opening: float = 3.0  # the reads a turn starts with, from its admission; rarely over 0.1
    commit: float = 6.0  # what the model leaves of a turn for its commit, which is repeated
    last_look: float = 2.0  # what the commit leaves, to look whether it was applied after all
    duplicate_wait: float = 8.0  # how long a duplicate waits for the request that has its lease
    recall: float = 0.8  # memory must not hold up the conversation
    embedding: float = 0.3  # of recall; a vector that comes later is still stored with its turn
    write: float = 10.0  # a conditional write with all its retries
    consolidation: float = 60.0  # one session in one run; the rest is queued again
    summary: float = 25.0  # one model call: two of them, with the repair, fit into a consolidation
    probe: float = 15.0  # one model call that asks whether the filter accepts texts
    settle: float = 30.0  # all of them in one run; a consolidation has to have time for its summary
    timer_run: float = 240.0  # one run of the timer, which fires every five minutes
    cosmos_call: float = 2.5  # one Cosmos DB call with all its retries
    redis_call: float = 1.0  # one script with its one retry
    redis_pause: float = 2.0  # after a failure: a hung Redis must not slow down every turn
    embedding_call: float = 10.0  # one call; 32 long texts take a laptop three seconds
    queue_call: float = 2.5
    ping: float = 1.0  # one dependency's answer to a readiness check
    stream_ping: float = 15.0  # between two comments on a silent stream; proxies close idle ones
    count: float = 60.0  # between two writes of what was spent without storing a turn
    drain: float = 3.0  # what turns under way get when the worker stops
