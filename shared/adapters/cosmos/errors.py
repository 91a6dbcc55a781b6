"""Translation of Cosmos DB errors into our own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from azure.core.exceptions import AzureError
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from shared.domain.errors import Busy, Contended, StoreFull, StoreUnavailable

TOO_MANY_REQUESTS = 429


class ItemMissing(Exception):
    """404: no such item in this partition."""


class ItemExists(Exception):
    """409: an item with this id exists."""


class ItemChanged(Exception):
    """412: the item no longer meets the condition."""


ITEM_OUTCOMES: dict[int, type[Exception]] = {404: ItemMissing, 409: ItemExists, 412: ItemChanged}
RETRY_WITH = 449  # another write of the document is in progress
PARTITION_FULL = (403, 1014)  # status and substatus
FAILED_DEPENDENCY = 424  # in a batch: another operation failed
FIRST_ERROR = 400


@contextmanager
def translate_cosmos_errors() -> Iterator[None]:
    """Raise our errors for the SDK's.

    Raises:
        ItemMissing, ItemExists, ItemChanged: 404, 409 and 412, for the caller to handle.
        Contended, Busy: 449 and 429.
        StoreUnavailable: anything else.
    """
    try:
        yield
    except CosmosBatchOperationError as failed:
        raise _translate(_deciding_status(failed), failed) from failed
    except CosmosHttpResponseError as failed:
        raise _translate(failed.status_code, failed) from failed
    except (AzureError, OSError) as failed:  # a response that is not JSON is an AzureError too
        raise StoreUnavailable(
            "Cosmos DB did not answer; send the same request again", retry_after=1
        ) from failed


def is_failure(status: int) -> bool:
    """Whether a status is a failure; the outcomes of conditions and reads are not."""
    return status >= FIRST_ERROR and status not in ITEM_OUTCOMES


def throttle_hint(headers: Mapping[str, str]) -> float:
    """The seconds to wait after a 429."""
    return float(headers.get("x-ms-retry-after-ms", 1000)) / 1000


def busy(headers: Mapping[str, str]) -> Busy:
    """The error to raise for a 429."""
    message = "Cosmos DB has no request units left; send the same request again"
    return Busy(message, retry_after=throttle_hint(headers))


def _deciding_status(failed: CosmosBatchOperationError) -> int | None:
    """The status of the operation that failed; the others have 424."""
    responses = failed.operation_responses or []
    statuses = [response.get("statusCode") or 0 for response in responses]
    causes = (
        status for status in statuses if status >= FIRST_ERROR and status != FAILED_DEPENDENCY
    )
    return next(causes, failed.status_code)


def _translate(
    status: int | None, failed: CosmosHttpResponseError | CosmosBatchOperationError
) -> Exception:
    if status in ITEM_OUTCOMES:
        return ITEM_OUTCOMES[status](str(status))
    if status == RETRY_WITH:
        return Contended(
            "Another request is writing the same document; send the same request again",
            retry_after=1,
        )
    if status == TOO_MANY_REQUESTS:
        return busy(failed.headers or {})
    if (status, getattr(failed, "sub_status", None)) == PARTITION_FULL:
        return StoreFull(
            "All the space that Cosmos DB has for one user is taken; delete sessions of this user"
        )
    return StoreUnavailable(
        "Cosmos DB returned an error; send the same request again", retry_after=1
    )
