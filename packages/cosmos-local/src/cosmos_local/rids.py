"""Resource ids, in the service's form: base64 of the owner's bytes, then the resource's own."""

from __future__ import annotations

import base64
import binascii
import struct

_COLLECTION = 0x80000000  # this bit tells a container from other children of a database
_DOCUMENT_BYTES = 8


def database_rid(number: int) -> str:
    """Return the resource id of a database."""
    return _encode(struct.pack(">I", number))


def container_rid(database: str, number: int) -> str:
    """Return the resource id of a container in a database."""
    return _encode(_decode(database) + struct.pack(">I", number | _COLLECTION))


def document_rid(container: str, row: int) -> str:
    """Return the resource id of the document in a row."""
    return _encode(_decode(container) + struct.pack("<Q", row))


def row_of(rid: str) -> int | None:
    """Return the row of a document's resource id, or None for any other text."""
    try:
        packed = _decode(rid)
    except (binascii.Error, ValueError):
        return None
    row: int = struct.unpack("<Q", packed[-_DOCUMENT_BYTES:].rjust(_DOCUMENT_BYTES, b"\0"))[0]
    return row if row < 2**63 else None


def _encode(packed: bytes) -> str:
    return base64.b64encode(packed).decode().replace("/", "-")


def _decode(rid: str) -> bytes:
    return base64.b64decode(rid.replace("-", "/"), validate=True)
