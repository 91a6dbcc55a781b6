"""Transactional batches: all operations of one partition, or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from cosmos_local import charges
from cosmos_local.errors import Refusal, bad_request, too_large
from cosmos_local.items import Items, Written
from cosmos_local.patch import parse_patch
from cosmos_local.storage import Storage
from cosmos_local.values import Document, Value, load

MAX_OPERATIONS = 100
BINARY = b"\x81"  # the first byte of HybridRow
MAX_BATCH_BYTES = 2 * 1024 * 1024
_FIELDS = {
    "Create": {"resourceBody"},
    "Upsert": {"resourceBody"},
    "Replace": {"id", "resourceBody"},
    "Patch": {"id", "resourceBody"},
    "Read": {"id"},
    "Delete": {"id"},
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a batch."""

    kind: str
    item_id: str
    body: Document
    if_match: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a batch: 200 when it was done, 207 when it was not."""

    status: int
    results: list[Document]


def parse_batch(payload: bytes) -> list[Operation]:
    """Read a batch's body and refuse one over the service's limits."""
    if len(payload) > MAX_BATCH_BYTES:
        raise too_large()
    if payload[:1] == BINARY:
        raise bad_request("Batches in binary form, as the .NET SDK sends them, are not supported.")
    entries = load(payload)
    if not isinstance(entries, list) or not entries:
        raise bad_request("Batch request has no operations.")
    if len(entries) > MAX_OPERATIONS:
        raise bad_request("Batch request has more operations than what is supported.")
    return [_operation(entry) for entry in entries]


def run(operations: list[Operation], key: list[Value], items: Items, storage: Storage) -> Outcome:
    """Do all operations in one transaction; the first that fails undoes them all."""
    results: list[Document] = []
    try:
        with storage.commit(items.container):
            for operation in operations:
                results.append(_DO[operation.kind](items, key, operation))  # noqa: PERF401 - what failed is at len(results)
    except Refusal as refusal:
        failed = len(results)
        undone: list[Document] = [{"statusCode": 424, "requestCharge": 0} for _ in operations]
        return Outcome(207, [*undone[:failed], _failure(refusal), *undone[failed + 1 :]])
    return Outcome(200, results)


def _operation(entry: Value) -> Operation:
    if not isinstance(entry, dict):
        raise bad_request("A batch operation must be an object.")
    kind = entry.get("operationType")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise bad_request(f"The batch operation '{kind}' is not supported.")
    allowed = (
        _FIELDS[kind]
        | {"operationType", "partitionKey"}
        | ({"ifMatch"} if kind != "Create" else set())
    )
    missing = _FIELDS[kind] - entry.keys()
    if missing or entry.keys() - allowed:
        wrong = ", ".join(sorted(missing or entry.keys() - allowed))
        raise bad_request(f"The batch operation {kind} has missing or unknown properties: {wrong}.")
    if "partitionKey" in entry:
        raise bad_request("A transactional batch has one partition key, in its header.")
    body, item_id, if_match = (
        entry.get("resourceBody", {}),
        entry.get("id", ""),
        entry.get("ifMatch"),
    )
    if (
        not isinstance(body, dict)
        or not isinstance(item_id, str)
        or not isinstance(if_match, str | None)
    ):
        raise bad_request(f"The batch operation {kind} has a property of the wrong type.")
    return Operation(kind, item_id, body, if_match)


def _written(written: Written) -> Document:
    item = written.item
    charge = charges.write(len(item.body), replaces=written.is_replacement)
    return {
        "statusCode": written.status,
        "requestCharge": charge,
        "eTag": item.etag,
        "resourceBody": json.loads(item.text()),
    }


def _create(items: Items, key: list[Value], operation: Operation) -> Document:
    return _written(items.create(key, operation.body))


def _upsert(items: Items, key: list[Value], operation: Operation) -> Document:
    return _written(items.upsert(key, operation.body, operation.if_match))


def _replace(items: Items, key: list[Value], operation: Operation) -> Document:
    return _written(items.replace(key, operation.item_id, operation.body, operation.if_match))


def _patch(items: Items, key: list[Value], operation: Operation) -> Document:
    return _written(
        items.patch(key, operation.item_id, parse_patch(operation.body), operation.if_match)
    )


def _read(items: Items, key: list[Value], operation: Operation) -> Document:
    item = items.read(key, operation.item_id)
    charge = charges.read(len(item.body), strong=False)
    return {
        "statusCode": 200,
        "requestCharge": charge,
        "eTag": item.etag,
        "resourceBody": json.loads(item.text()),
    }


def _delete(items: Items, key: list[Value], operation: Operation) -> Document:
    item = items.delete(key, operation.item_id, operation.if_match)
    return {"statusCode": 204, "requestCharge": charges.write(len(item.body), replaces=False)}


def _failure(refusal: Refusal) -> Document:
    result: Document = {
        "statusCode": refusal.status,
        "requestCharge": 0,
        "message": refusal.message,
    }
    if refusal.substatus is not None:
        result["subStatusCode"] = refusal.substatus
    return result


_DO: dict[str, Callable[[Items, list[Value], Operation], Document]] = {
    "Create": _create,
    "Upsert": _upsert,
    "Replace": _replace,
    "Patch": _patch,
    "Read": _read,
    "Delete": _delete,
}
