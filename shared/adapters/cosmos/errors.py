"""What Cosmos DB's answers mean to us: one table, and nothing of the SDK gets past it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from azure.core.exceptions import AzureError
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from shared.domain.errors import Busy, Contended, StoreUnavailable

TOO_MANY_REQUESTS = 429


class ItemMissing(Exception):
    """404: no such item in this partition."""


class ItemExists(Exception):
    """409: an item of this id is there."""


class ItemChanged(Exception):
    """412: the item is not as the condition wants it."""


ITEM_OUTCOMES: dict[int, type[Exception]] = {404: ItemMissing, 409: ItemExists, 412: ItemChanged}
RETRY_WITH = 449  # another write of the document is under way


@contextmanager
def translate_cosmos_errors() -> Iterator[None]:
    """Turn SDK errors into ours: item-level outcomes, Busy for 429, StoreUnavailable for everything else."""
    try:
        yield
    except CosmosBatchOperationError as failed:
        raise _translated(_deciding_status(failed), failed) from failed
    except CosmosHttpResponseError as failed:
        raise _translated(failed.status_code, failed) from failed
    except (AzureError, OSError) as failed:  # an answer that is no JSON is an AzureError, too
        raise StoreUnavailable(
            "Cosmos DB did not answer; send the same request again", retry_after=1
        ) from failed


def is_failure(status: int) -> bool:
    """Whether an answer is a failure, and not one of the outcomes that a condition or a read is made for."""
    return status >= 400 and status not in ITEM_OUTCOMES  # noqa: PLR2004 - HTTP's line between answers and errors


def throttle_hint(headers: Mapping[str, str]) -> float:
    """The seconds a 429 asks to wait."""
    return float(headers.get("x-ms-retry-after-ms", 1000)) / 1000


def busy(headers: Mapping[str, str]) -> Busy:
    """What a 429 is to our caller."""
    message = "Cosmos DB has no request units to spare; send the same request again"
    return Busy(message, retry_after=throttle_hint(headers))


def _deciding_status(failed: CosmosBatchOperationError) -> int | None:
    """The status of the operation that failed; the others say 424."""
    responses = failed.operation_responses or []
    statuses = [response.get("statusCode") for response in responses]
    return next(
        (status for status in statuses if status and status >= 400 and status != 424),  # noqa: PLR2004
        failed.status_code,
    )


def _translated(
    status: int | None, failed: CosmosHttpResponseError | CosmosBatchOperationError
) -> Exception:
    if status in ITEM_OUTCOMES:
        return ITEM_OUTCOMES[status](str(status))
    if status == RETRY_WITH:
        return Contended(
            "The same thing is being written at this moment; send again", retry_after=1
        )
    if status == TOO_MANY_REQUESTS:
        return busy(failed.headers or {})
    return StoreUnavailable("Cosmos DB refused to work; send the same request again", retry_after=1)
