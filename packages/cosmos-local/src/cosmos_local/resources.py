"""The routes beside documents: account, databases, containers, ranges, throughput."""

from __future__ import annotations

from collections.abc import Mapping

from cosmos_local.catalogue import DEFAULT_THROUGHPUT, Catalogue
from cosmos_local.errors import Refusal, bad_request
from cosmos_local.ranges import ETAG, list_ranges
from cosmos_local.values import Document, Value, dump, load_object
from cosmos_local.wire import WireRequest, WireResponse

_NOT_HERE = (
    "Databases and containers come from the declaration; start with --allow-create to make others."
)


class Resources:
    """Answers requests about anything but documents."""

    def __init__(self, catalogue: Catalogue, consistency: str, *, allow_create: bool) -> None:
        """Serve a catalogue; only `allow_create` lets requests change it."""
        self._catalogue = catalogue
        self._consistency = consistency
        self._allow_create = allow_create

    def respond(self, request: WireRequest) -> WireResponse:  # noqa: PLR0911 - a dispatch, one line per route
        """Route by the path."""
        match request.segments:
            case []:
                return _json(200, self._account(request))
            case ["dbs"]:
                return self._databases(request)
            case ["dbs", database]:
                return self._database(request, database)
            case ["dbs", database, "colls"]:
                return self._containers(request, database)
            case ["dbs", database, "colls", name]:
                return self._container(request, database, name)
            case ["dbs", database, "colls", name, "pkranges"]:
                return self._ranges(request, database, name)
            case ["offers", *rest]:
                return self._offers(request, rest)
            case _:
                raise Refusal(404, f"There is no resource at /{'/'.join(request.segments)} here.")

    def _account(self, request: WireRequest) -> Document:
        location: Document = {"name": "Local", "databaseAccountEndpoint": f"{request.base}/"}
        return {
            "_self": "", "id": "local", "_rid": "local", "media": "//media/", "addresses": "//addresses/",
            "_dbs": "//dbs/",
            "writableLocations": [location], "readableLocations": [location],
            "enableMultipleWriteLocations": False, "enablePerPartitionFailoverBehavior": False,
            "userReplicationPolicy": {"asyncReplication": False, "minReplicaSetSize": 3, "maxReplicasetSize": 4},
            "userConsistencyPolicy": {"defaultConsistencyLevel": self._consistency},
            "systemReplicationPolicy": {"minReplicaSetSize": 3, "maxReplicasetSize": 4},
            "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
            "queryEngineConfiguration": "{}",
        }  # fmt: skip

    def _databases(self, request: WireRequest) -> WireResponse:
        if _is_list(request):
            return _feed("Databases", self._catalogue.databases(), request)
        self._check_may_change(request, "POST")
        return _json(201, self._catalogue.create_database(load_object(request.body)))

    def _database(self, request: WireRequest, name: str) -> WireResponse:
        if request.method == "GET":
            return _json(200, self._catalogue.database(name))
        self._catalogue.database(name)
        self._check_may_change(request, "DELETE")
        self._catalogue.delete_database(name)
        return WireResponse(204)

    def _containers(self, request: WireRequest, database: str) -> WireResponse:
        self._catalogue.database(database)
        if _is_list(request):
            return _feed("DocumentCollections", self._catalogue.containers(database), request)
        self._check_may_change(request, "POST")
        throughput = request.number("x-ms-offer-throughput", DEFAULT_THROUGHPUT)
        return _json(
            201, self._catalogue.create_container(database, load_object(request.body), throughput)
        )

    def _container(self, request: WireRequest, database: str, name: str) -> WireResponse:
        properties = self._catalogue.container(database, name).properties
        if request.method == "GET":
            return _json(200, properties)
        self._check_may_change(request, "PUT", "DELETE")
        if request.method == "PUT":
            return _json(
                200, self._catalogue.replace_container(database, name, load_object(request.body))
            )
        self._catalogue.delete_container(database, name)
        return WireResponse(204)

    def _ranges(self, request: WireRequest, database: str, name: str) -> WireResponse:
        definition = self._catalogue.container(database, name)
        if request.method != "GET":
            raise bad_request("Partition key ranges can only be read.")
        if request.headers.get("if-none-match") == ETAG:
            return WireResponse(304, headers={"etag": ETAG})
        ranges = list_ranges(definition.rid)
        body: Document = {
            "_rid": definition.rid,
            "PartitionKeyRanges": ranges,
            "_count": len(ranges),
        }
        return WireResponse(200, dump(body).encode(), {"etag": ETAG})

    def _offers(self, request: WireRequest, rest: list[str]) -> WireResponse:
        if request.method == "POST" and not rest and request.flag("x-ms-documentdb-isquery"):
            links = [entry["value"] for entry in _parameters(request)]
            found = [self._catalogue.by_rid(str(link).rstrip("/").split("/")[-1]) for link in links]
            offers = [
                _offer(properties, throughput) for properties, throughput in filter(None, found)
            ]
            return _json(200, {"_rid": "", "Offers": offers, "_count": len(offers)})
        self._check_may_change(request, "PUT")
        body = load_object(request.body)
        content = body.get("content")
        throughput = content.get("offerThroughput") if isinstance(content, dict) else None
        if not rest or not isinstance(throughput, int):
            raise bad_request("An offer needs content.offerThroughput.")
        self._catalogue.set_throughput(str(body.get("offerResourceId")), throughput)
        return _json(200, body)

    def _check_may_change(self, request: WireRequest, *methods: str) -> None:
        if request.method not in methods:
            raise Refusal(405, f"{request.method} is not allowed on this resource.")
        if not self._allow_create:
            raise Refusal(403, _NOT_HERE)


def _is_list(request: WireRequest) -> bool:
    return request.method == "GET" or (
        request.method == "POST" and request.flag("x-ms-documentdb-isquery")
    )


def _feed(name: str, resources: list[Document], request: WireRequest) -> WireResponse:
    if request.method == "POST":
        resources = _with_id(resources, request)
    return _json(200, {"_rid": "", name: resources, "_count": len(resources)})


def _with_id(resources: list[Document], request: WireRequest) -> list[Document]:
    """Answer the two queries over metadata there are: all, and by id."""
    text = " ".join(str(load_object(request.body).get("query", "")).split()).lower()
    parameters = _parameters(request)
    if text.startswith("select * from ") and " where " not in text and not parameters:
        return resources
    if " where " in text and text.partition(" where ")[2].replace(" ", "").partition(".id=")[
        2
    ].startswith("@"):
        return [resource for resource in resources if resource["id"] == parameters[0]["value"]]
    raise bad_request(
        "A query over databases or containers can only be SELECT * FROM x [WHERE x.id = @id] here."
    )


def _parameters(request: WireRequest) -> list[Mapping[str, Value]]:
    parameters = load_object(request.body).get("parameters") or []
    if not isinstance(parameters, list) or not all(
        isinstance(p, dict) and "value" in p for p in parameters
    ):
        raise bad_request("The query parameters must be an array of names and values.")
    return parameters


def _offer(properties: Document, throughput: int) -> Document:
    rid = str(properties["_rid"])
    return {
        "id": f"o{rid}", "_rid": f"o{rid}", "_self": f"offers/o{rid}/", "_etag": '"offer"', "_ts": 0,
        "offerVersion": "V2", "offerType": "Invalid", "resource": properties["_self"], "offerResourceId": rid,
        "content": {"offerThroughput": throughput, "offerIsRUPerMinuteThroughputEnabled": False},
    }  # fmt: skip


def _json(status: int, body: Document) -> WireResponse:
    headers = {"etag": str(body["_etag"])} if "_etag" in body else {}
    return WireResponse(status, dump(body).encode(), headers)
