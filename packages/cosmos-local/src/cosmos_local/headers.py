"""Request headers: one that is not understood, and might change an answer, is refused."""

from __future__ import annotations

from cosmos_local.errors import bad_request
from cosmos_local.wire import WireRequest

# Acted upon, or of no consequence for what is answered here.
UNDERSTOOD = frozenset(
    """
    x-ms-activity-id x-ms-client-id x-ms-client-request-id x-ms-consistency-level
    x-ms-continuation x-ms-cosmos-allow-tentative-writes x-ms-cosmos-batch-atomic
    x-ms-cosmos-batch-continue-on-error x-ms-cosmos-changefeed-wire-format-version
    x-ms-cosmos-correlated-activityid x-ms-cosmos-hub-region-processing-only
    x-ms-cosmos-intended-collection-rid x-ms-cosmos-is-batch-request
    x-ms-cosmos-is-query-plan-request x-ms-cosmos-offer-autopilot-settings
    x-ms-cosmos-physical-partition-id x-ms-cosmos-populateindexmetrics
    x-ms-cosmos-populatequeryadvice x-ms-cosmos-priority-level
    x-ms-cosmos-query-optimisticdirectexecute x-ms-cosmos-query-version
    x-ms-cosmos-sdk-supportedcapabilities x-ms-cosmos-sdk-version
    x-ms-cosmos-supported-query-features x-ms-cosmos-throughput-bucket x-ms-date
    x-ms-dedicatedgateway-max-age x-ms-documentdb-is-upsert x-ms-documentdb-isquery
    x-ms-documentdb-partitionkey x-ms-documentdb-partitionkeyrangeid
    x-ms-documentdb-populatepartitionstatistics x-ms-documentdb-populatequerymetrics
    x-ms-documentdb-populatequotainfo x-ms-documentdb-query-emit-traces
    x-ms-documentdb-query-enable-scan x-ms-documentdb-query-enablecrosspartition
    x-ms-documentdb-query-iscontinuationexpected
    x-ms-documentdb-query-parallelizecrosspartitionquery
    x-ms-documentdb-responsecontinuationtokenlimitinkb x-ms-end-epk x-ms-indexing-directive
    x-ms-max-item-count x-ms-offer-throughput x-ms-read-key-type x-ms-return-client-request-id
    x-ms-session-token x-ms-start-epk x-ms-thinclient-proxy-operation-type
    x-ms-useragent x-ms-cosmos-use-thinclient x-ms-noretry-449
    x-ms-cosmos-supported-serialization-formats x-ms-cosmos-query-optimisticdirectexecute
    x-ms-cosmos-populateindexmetrics-v2 x-ms-documentdb-query-enable-low-precision-order-by
    x-ms-cosmos-database-rid x-ms-cosmos-is-client-encrypted
    x-ms-cosmos-allow-cachedreads x-ms-dedicatedgateway-bypass-cache
    x-ms-thinclient-proxy-resource-type x-ms-throttle-retry-count
    x-ms-throttle-retry-wait-time-ms x-ms-throughput-bucket x-ms-version
    """.split()  # noqa: SIM905 - a list of so many strings reads worse
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
    directive = request.headers.get("x-ms-indexing-directive", "Default")
    if directive not in ("Default", "Include"):
        raise bad_request("An item cannot be left out of the index here.")
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
