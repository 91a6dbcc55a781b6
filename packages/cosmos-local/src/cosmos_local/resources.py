"""The routes for everything but documents: account, databases, containers, ranges, offers."""

from __future__ import annotations

from cosmos_local.areas import is_everywhere
from cosmos_local.catalogue import Catalogue
from cosmos_local.clock import Clock
from cosmos_local.errors import Refusal, bad_request, owner_not_found, precondition_failed
from cosmos_local.keys import ETAG
from cosmos_local.metadata import feed, is_list
from cosmos_local.offers import MANUAL_MINIMUM, content_of
from cosmos_local.rules import cross_partition_refused
from cosmos_local.storage import Storage
from cosmos_local.values import Document, dump, load_object
from cosmos_local.wire import WireRequest, WireResponse

_NOT_HERE = (
    "Databases and containers come from the declaration; start with --allow-create to create more."
)


OFFER_HEADERS = {
    "x-ms-cosmos-min-throughput": str(MANUAL_MINIMUM),
    "x-ms-offer-replace-pending": "false",
}
EMPTY_FEEDS = {
    "users": "Users",
    "conflicts": "Conflicts",
    "sprocs": "StoredProcedures",
    "triggers": "Triggers",
    "udfs": "UserDefinedFunctions",
}


class Resources:
    """Answers requests about anything but documents."""

    def __init__(
        self,
        catalogue: Catalogue,
        storage: Storage,
        clock: Clock,
        consistency: str,
        *,
        allow_create: bool,
    ) -> None:
        """Serve a catalogue; only `allow_create` lets requests change it."""
        self._catalogue = catalogue
        self._storage = storage
        self._clock = clock
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
            case ["dbs", database, "users" as kind]:
                return self._empty(request, database, kind)
            case ["dbs", database, "colls", name, kind] if kind in EMPTY_FEEDS:
                return self._empty(request, database, name, kind)
            case ["offers", *rest] if len(rest) <= 1:
                return self._offers(request, rest)
            case _:
                raise Refusal(404, f"There is no resource at /{'/'.join(request.segments)} here.")

    def _account(self, request: WireRequest) -> Document:
        # as Microsoft's emulators do: not every client tries the IPv4 address of localhost first
        endpoint = request.base.replace("//localhost:", "//127.0.0.1:")
        location: Document = {"name": "Local", "databaseAccountEndpoint": f"{endpoint}/"}
        return {
            "_self": "", "id": "local", "_rid": "local", "media": "//media/",
            "addresses": "//addresses/", "_dbs": "//dbs/",
            "writableLocations": [location], "readableLocations": [location],
            "enableMultipleWriteLocations": False, "enablePerPartitionFailoverBehavior": False,
            "userReplicationPolicy": {
                "asyncReplication": False, "minReplicaSetSize": 3, "maxReplicasetSize": 4,
            },
            "userConsistencyPolicy": {"defaultConsistencyLevel": self._consistency},
            "systemReplicationPolicy": {"minReplicaSetSize": 3, "maxReplicasetSize": 4},
            "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
            "queryEngineConfiguration": '{"maxSqlQueryInputLength":524288}',
        }  # fmt: skip

    def _databases(self, request: WireRequest) -> WireResponse:
        if is_list(request):
            return self._feed("Databases", self._catalogue.databases(), request)
        self._check_may_change(request, "POST")
        body = load_object(request.body)
        return _json(201, self._catalogue.create_database(body, content_of(request)))

    def _database(self, request: WireRequest, name: str) -> WireResponse:
        if request.method == "GET":
            return _json(200, self._catalogue.database(name))
        self._catalogue.database(name)
        self._check_may_change(request, "DELETE")
        self._catalogue.delete_database(name)
        return WireResponse(204)

    def _containers(self, request: WireRequest, database: str) -> WireResponse:
        self._catalogue.database(database)
        if is_list(request):
            containers = self._catalogue.containers(database)
            return self._feed("DocumentCollections", containers, request)
        self._check_may_change(request, "POST")
        body = load_object(request.body)
        return _json(201, self._catalogue.create_container(database, body, content_of(request)))

    def _container(self, request: WireRequest, database: str, name: str) -> WireResponse:
        properties = self._catalogue.container(database, name).properties
        if request.method == "GET":
            return _json(200, properties, self._quota(request, database, name))
        self._check_may_change(request, "PUT", "DELETE")
        if request.headers.get("if-match", "*") not in ("*", properties["_etag"]):
            raise precondition_failed()
        if request.method == "PUT":
            body = load_object(request.body)
            return _json(200, self._catalogue.replace_container(database, name, body))
        self._catalogue.delete_container(database, name)
        return WireResponse(204)

    def _quota(self, request: WireRequest, database: str, name: str) -> dict[str, str]:
        """Count a container's documents, for clients that ask for its quota."""
        if not request.flag("x-ms-documentdb-populatequotainfo"):
            return {}
        number = self._catalogue.container(database, name).number
        count, size = self._storage.usage(number)
        used = f"documentSize={size // 2**20};documentsSize={size // 2**10};documentsCount={count};"
        return {
            "x-ms-resource-usage": f"{used}collectionSize={size // 2**10}",
            "x-ms-resource-quota": "documentSize=10240;documentsSize=20971520;documentsCount=-1;",
        }

    def _empty(self, request: WireRequest, database: str, *path: str) -> WireResponse:
        """Answer feeds of what cannot be created here: they are empty."""
        self._catalogue.database(database)
        if len(path) > 1:
            self._catalogue.container(database, path[0])
        name = path[-1]
        if not is_list(request):
            raise bad_request(f"There are no {name} here; they cannot be created.")
        everywhere = request.is_query and is_everywhere(request)
        if everywhere and not request.flag("x-ms-documentdb-query-enablecrosspartition"):
            raise cross_partition_refused()
        return self._feed(EMPTY_FEEDS[name], [], request)

    def _feed(self, name: str, resources: list[Document], request: WireRequest) -> WireResponse:
        return feed(name, resources, request, self._clock.now())

    def _ranges(self, request: WireRequest, database: str, name: str) -> WireResponse:
        definition = self._catalogue.container(database, name)
        if request.method != "GET":
            raise bad_request("Partition key ranges can only be read.")
        if request.headers.get("if-none-match") == ETAG:
            return WireResponse(304, headers={"etag": ETAG})
        ranges = definition.key.list_ranges(definition.rid)
        body: Document = {
            "_rid": definition.rid,
            "PartitionKeyRanges": ranges,
            "_count": len(ranges),
        }
        return WireResponse(200, dump(body).encode(), {"etag": ETAG})

    def _offers(self, request: WireRequest, rest: list[str]) -> WireResponse:
        offers = self._catalogue.offers
        if not rest and is_list(request):
            return self._feed("Offers", offers.all(), request)
        if request.method == "GET":
            found = [offer for offer in offers.all() if offer["id"] == rest[0]]
            if not found:
                raise owner_not_found(rest[0])
            return _json(200, found[0], OFFER_HEADERS)
        self._check_may_change(request, "PUT")
        return _json(200, offers.replace(load_object(request.body)))

    def _check_may_change(self, request: WireRequest, *methods: str) -> None:
        if request.method not in methods:
            raise Refusal(405, f"{request.method} is not allowed on this resource.")
        if not self._allow_create:
            raise Refusal(403, _NOT_HERE)


def _json(status: int, body: Document, headers: dict[str, str] | None = None) -> WireResponse:
    etag = {"etag": str(body["_etag"])} if "_etag" in body else {}
    return WireResponse(status, dump(body).encode(), etag | (headers or {}))
