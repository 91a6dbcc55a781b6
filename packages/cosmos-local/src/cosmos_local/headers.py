"""Which request headers are understood; one that would change an answer and is not known is refused."""

from __future__ import annotations

from cosmos_local.errors import bad_request
from cosmos_local.wire import WireRequest

# Acted upon, or of no consequence for what is answered here.
UNDERSTOOD = frozenset(
    """
    x-ms-date x-ms-version x-ms-activity-id x-ms-client-id x-ms-session-token x-ms-consistency-level
    x-ms-cosmos-sdk-supportedcapabilities x-ms-cosmos-intended-collection-rid x-ms-cosmos-correlated-activityid
    x-ms-thinclient-proxy-operation-type x-ms-thinclient-proxy-resource-type x-ms-client-request-id
    x-ms-documentdb-partitionkey x-ms-documentdb-partitionkeyrangeid x-ms-documentdb-is-upsert
    x-ms-documentdb-isquery x-ms-documentdb-query-enablecrosspartition x-ms-documentdb-query-enable-scan
    x-ms-documentdb-query-iscontinuationexpected x-ms-documentdb-query-parallelizecrosspartitionquery
    x-ms-documentdb-responsecontinuationtokenlimitinkb x-ms-documentdb-populatequerymetrics
    x-ms-documentdb-populatequotainfo x-ms-documentdb-populatepartitionstatistics x-ms-cosmos-populateindexmetrics
    x-ms-max-item-count x-ms-continuation x-ms-cosmos-is-batch-request x-ms-cosmos-batch-atomic
    x-ms-cosmos-batch-continue-on-error x-ms-cosmos-is-query-plan-request x-ms-cosmos-supported-query-features
    x-ms-cosmos-query-version x-ms-start-epk x-ms-end-epk x-ms-read-key-type x-ms-offer-throughput
    x-ms-cosmos-priority-level x-ms-cosmos-physical-partition-id x-ms-throttle-retry-count
    x-ms-throttle-retry-wait-time-ms x-ms-return-client-request-id x-ms-cosmos-changefeed-wire-format-version
    x-ms-dedicatedgateway-max-age
    """.split()  # noqa: SIM905 - a list of forty strings reads worse
)
CONSISTENCY = (
    "Eventual",
    "ConsistentPrefix",
    "Session",
    "BoundedStaleness",
    "Strong",
)  # weakest first


def check_headers(request: WireRequest, consistency: str) -> None:
    """Refuse what is not understood, and a consistency stronger than the account's."""
    for name in request.headers:
        if name.startswith("x-ms-") and name not in UNDERSTOOD:
            raise bad_request(f"The header {name} is not supported here.")
    asked = request.headers.get("x-ms-consistency-level")
    if asked is None:
        return
    if asked not in CONSISTENCY or CONSISTENCY.index(asked) > CONSISTENCY.index(consistency):
        raise bad_request(
            f"The consistency level {asked} is not valid for an account with {consistency}."
        )
