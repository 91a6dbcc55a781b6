"""Throughput: stored and returned; it has no effect, as nothing is throttled here."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cosmos_local.errors import bad_request, owner_not_found
from cosmos_local.shapes import check_members
from cosmos_local.storage import Storage
from cosmos_local.values import Document, Value, dump, is_number, load_object
from cosmos_local.wire import WireRequest

MANUAL_MINIMUM, AUTOSCALE_MINIMUM = 400, 1000
MANUAL, AUTOSCALE = "x-ms-offer-throughput", "x-ms-cosmos-offer-autopilot-settings"


class Offers:
    """The throughput of databases and containers."""

    def __init__(self, storage: Storage) -> None:
        """Keep the offers in a storage."""
        self._storage = storage

    def create(self, resource: Document, content: Document) -> None:
        """Store a new resource's throughput."""
        rid = str(resource["_rid"])
        offer = {
            "id": f"o{rid}", "_rid": f"o{rid}", "_self": f"offers/o{rid}/", "_etag": '"offer"',
            "_ts": 0, "offerVersion": "V2", "offerType": "Invalid",
            "resource": resource["_self"], "offerResourceId": rid, "content": content,
        }  # fmt: skip
        self._store(rid, offer)

    def all(self) -> list[Document]:
        """Return every offer."""
        rows = self._storage.connection.execute("SELECT body FROM offers ORDER BY rid")
        return [json.loads(row[0]) for row in rows]

    def of(self, link: str) -> list[Document]:
        """Return the offer of the resource with a `_self` link, in a list, or none."""
        return [offer for offer in self.all() if str(offer["resource"]).strip("/") == link]

    def has(self, rid: str) -> bool:
        """Tell whether a resource has throughput of its own."""
        return any(offer["offerResourceId"] == rid for offer in self.all())

    def replace(self, body: Document) -> Document:
        """Store another throughput for the same resource."""
        rid = str(body.get("offerResourceId"))
        if not self.has(rid):
            raise owner_not_found(rid)
        _check(body.get("content"))
        self._store(rid, body)
        return body

    def delete(self, rid: str) -> None:
        """Forget a resource's throughput."""
        self._storage.connection.execute("DELETE FROM offers WHERE rid = ?", [rid])

    def _store(self, rid: str, offer: Document) -> None:
        self._storage.connection.execute("REPLACE INTO offers VALUES (?, ?)", [rid, dump(offer)])


def content_of(request: WireRequest) -> Document | None:
    """Return the throughput a request asks for in its headers, if any."""
    headers: Mapping[str, str] = request.headers
    if MANUAL in headers and AUTOSCALE in headers:
        raise bad_request("A resource has manual throughput or autoscale, not both.")
    if MANUAL in headers:
        throughput = request.number(MANUAL, MANUAL_MINIMUM)
        content: Document = {"offerThroughput": throughput}
    elif AUTOSCALE in headers:
        settings = load_object(headers[AUTOSCALE])
        content = {"offerThroughput": AUTOSCALE_MINIMUM, "offerAutopilotSettings": settings}
    else:
        return None
    _check(content)
    return content


def _check(content: Value) -> None:
    if not isinstance(content, dict):
        raise bad_request("An offer needs content.offerThroughput.")
    settings = content.get("offerAutopilotSettings")
    if settings is not None:
        check_members(settings, "offerAutopilotSettings", {"maxThroughput", "autoUpgradePolicy"})
        _check_at_least(settings.get("maxThroughput"), AUTOSCALE_MINIMUM)
        return
    _check_at_least(content.get("offerThroughput"), MANUAL_MINIMUM)


def _check_at_least(throughput: Value, minimum: int) -> None:
    if not is_number(throughput) or throughput != int(throughput):
        raise bad_request("The requested throughput must be an integer.")
    if throughput < minimum:
        raise bad_request(
            f"Requested throughput {throughput} is less than required minimum throughput {minimum}."
        )
