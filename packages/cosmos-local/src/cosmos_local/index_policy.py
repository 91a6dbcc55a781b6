"""The indexing policy of a container: which ORDER BY an index serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from cosmos_local.errors import bad_request
from cosmos_local.keys import Path, parse_path
from cosmos_local.shapes import check_members, objects_in
from cosmos_local.values import Document

Composite: TypeAlias = tuple[tuple[Path, bool], ...]  # paths, each with "is descending"
DEFAULT: Document = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": '/"_etag"/?'}],
}
_MEMBERS = frozenset({*DEFAULT, "compositeIndexes", "spatialIndexes", "vectorIndexes"})
_MIN_COMPOSITE, _MAX_COMPOSITE = 2, 8


@dataclass(frozen=True, slots=True)
class IndexPolicy:
    """The paths of the range index and the composite indexes."""

    is_on: bool
    included: tuple[Path, ...]
    excluded: tuple[Path, ...]
    composites: tuple[Composite, ...]

    def covers(self, path: Path) -> bool:
        """Tell whether the range index holds a scalar at a path; the most precise entry decides."""
        if not self.is_on:
            return False
        if path in (("id",), ("_ts",)):
            return True
        return _precision(self.included, path) > _precision(self.excluded, path)

    def orders(self, keys: Composite) -> bool:
        """Tell whether a composite index serves an ORDER BY, forwards or backwards."""
        backwards = tuple((path, not descending) for path, descending in keys)
        return any(index in (keys, backwards) for index in self.composites)


def fill_in(policy: Document) -> Document:
    """Add the defaults of what an indexing policy leaves out, as the service does."""
    if str(policy.get("indexingMode", "")).lower() == "none":
        return {"automatic": False} | policy | {"indexingMode": "none"}
    mode = policy.get("indexingMode", DEFAULT["indexingMode"])
    return {**DEFAULT, **policy, "indexingMode": mode.lower() if isinstance(mode, str) else mode}


def read_indexing(policy: Document) -> IndexPolicy:
    """Check an indexing policy and parse it."""
    check_members(policy, "indexingPolicy", {*_MEMBERS, "fullTextIndexes"})
    mode, automatic = policy.get("indexingMode", "consistent"), policy.get("automatic", True)
    if str(mode).lower() not in ("consistent", "none", "lazy") or not isinstance(automatic, bool):
        raise bad_request("The indexingMode is 'consistent' or 'none', and automatic a boolean.")
    if automatic is (str(mode).lower() == "none"):
        raise bad_request("The indexingPolicy is automatic exactly when its mode is not 'none'.")
    if policy.get("spatialIndexes"):
        raise bad_request("The spatialIndexes are not supported: there are no spatial functions.")
    return IndexPolicy(
        is_on=str(mode).lower() != "none",
        included=tuple(_entry(entry) for entry in objects_in(policy, "includedPaths")),
        excluded=tuple(_entry(entry) for entry in objects_in(policy, "excludedPaths")),
        composites=_composites(policy),
    )


def _entry(entry: Document) -> Path:
    # `indexes` is what policies had before 2018; the service ignores it, too
    check_members(entry, "index path", {"path", "indexes"})
    path = parse_path(str(entry.get("path")))
    if not path:
        return ("*",)
    if path[-1] not in ("?", "*") or "?" in path[:-1] or "*" in path[:-1]:
        raise bad_request(f"The index path '{entry.get('path')}' must end with '/?' or '/*'.")
    return path


def _composites(policy: Document) -> tuple[Composite, ...]:
    indexes = policy.get("compositeIndexes") or []
    if not isinstance(indexes, list):
        raise bad_request("The compositeIndexes must be a list of lists.")
    return tuple(_composite({"parts": index}) for index in indexes)


def _composite(index: Document) -> Composite:
    parts = objects_in(index, "parts")
    if not _MIN_COMPOSITE <= len(parts) <= _MAX_COMPOSITE:
        raise bad_request("A composite index has two to eight paths.")
    for part in parts:
        check_members(part, "composite index path", {"path", "order"})
        order, path = part.get("order", "ascending"), parse_path(str(part.get("path")))
        if order not in ("ascending", "descending") or not path or path[-1] in ("?", "*"):
            raise bad_request(
                "A composite index path has an order, ascending or descending, and no wildcard."
            )
    return tuple(
        (parse_path(str(part["path"])), part.get("order") == "descending") for part in parts
    )


def _precision(entries: tuple[Path, ...], path: Path) -> float:
    """Return how precisely a list of index paths covers a scalar at `path`; -1 when not at all."""
    best = -1.0
    for *prefix, last in entries:
        if last == "?" and tuple(prefix) == path:
            best = max(best, len(prefix) + 0.5)
        elif last == "*" and path[: len(prefix)] == tuple(prefix):
            best = max(best, len(prefix))
    return best
