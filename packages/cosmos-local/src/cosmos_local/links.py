"""Addresses by resource id (`_self` links), translated into addresses by name."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from cosmos_local.catalogue import Catalogue
from cosmos_local.rids import row_of
from cosmos_local.storage import Storage
from cosmos_local.wire import WireRequest

_DATABASE, _CONTAINER, _DOCUMENT = 1, 3, 5  # places of the ids in dbs/<>/colls/<>/docs/<>


def by_name(request: WireRequest, catalogue: Catalogue, storage: Storage) -> WireRequest:
    """Return the request with names in its path; what is addressed by name is left alone."""
    segments = list(request.segments)
    if len(segments) <= _DATABASE or segments[0] != "dbs":
        return request
    names = {str(database["id"]) for database in catalogue.databases()}
    by_rid = {str(database["_rid"]): str(database["id"]) for database in catalogue.databases()}
    if segments[_DATABASE] in names or segments[_DATABASE] not in by_rid:
        return request
    segments[_DATABASE] = by_rid[segments[_DATABASE]]
    if len(segments) > _CONTAINER and segments[_CONTAINER - 1] == "colls":
        _name_container(segments, catalogue)
    if len(segments) > _DOCUMENT and segments[_DOCUMENT - 1] == "docs":
        row = row_of(segments[_DOCUMENT])
        item = None if row is None else storage.at(row)
        segments[_DOCUMENT] = segments[_DOCUMENT] if item is None else item.id
    return replace(request, path="/" + "/".join(quote(part, safe="") for part in segments))


def _name_container(segments: list[str], catalogue: Catalogue) -> None:
    for container in catalogue.containers(segments[_DATABASE]):
        if container["_rid"] == segments[_CONTAINER]:
            segments[_CONTAINER] = str(container["id"])
