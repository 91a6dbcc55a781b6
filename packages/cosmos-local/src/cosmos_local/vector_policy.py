"""The vector embedding policy of a container, its vector indexes, and the vectors they admit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cosmos_local.errors import bad_request
from cosmos_local.keys import Path, parse_path
from cosmos_local.shapes import check_members, objects_in
from cosmos_local.values import Document, Undefined, Value, dig, is_number

MAX_DIMENSIONS = 4096
MAX_FLAT_DIMENSIONS = 505
MAX_QUANTIZATION_BYTES = 512
SEARCH_LIST = (25, 500)
FUNCTIONS = ("cosine", "dotproduct", "euclidean")
INDEX_TYPES = ("flat", "quantizedFlat", "diskANN")
_BOUNDS = {"int8": (-128, 127), "uint8": (0, 255)}
DATA_TYPES = ("float32", "float16", *_BOUNDS)


@dataclass(frozen=True, slots=True)
class VectorPolicy:
    """What may be stored at a vector path, and how distances are measured."""

    path: Path
    dimensions: int
    function: str
    data_type: str

    def check(self, document: Document) -> None:
        """Refuse a document whose vector does not follow the policy; it may have none."""
        vector = dig(document, self.path)
        if isinstance(vector, Undefined) or vector is None:
            return
        place = f"The vector at '/{'/'.join(self.path)}'"
        if not isinstance(vector, list) or not all(map(is_number, vector)):
            raise bad_request(f"{place} must be an array of numbers.")
        if len(vector) != self.dimensions:
            raise bad_request(
                f"{place} has {len(vector)} dimensions where the policy wants {self.dimensions}."
            )
        low, high = _BOUNDS.get(self.data_type, (None, None))
        if low is not None and not all(n == int(n) and low <= n <= high for n in vector):
            raise bad_request(f"{place} must hold integers from {low} to {high}.")


def read_vectors(properties: Document, indexing: Document) -> tuple[VectorPolicy, ...]:
    """Check the vector policy and the vector indexes, and return the policy's paths."""
    policy = properties.get("vectorEmbeddingPolicy") or {}
    check_members(policy, "vectorEmbeddingPolicy", {"vectorEmbeddings"})
    vectors = tuple(map(_embedding, objects_in(policy, "vectorEmbeddings")))
    by_path = {vector.path: vector for vector in vectors}
    if len(by_path) < len(vectors):
        raise bad_request("A vector path is named twice in the vectorEmbeddingPolicy.")
    indexed: set[Path] = set()
    for index in objects_in(indexing, "vectorIndexes"):
        path = _check_index(index, by_path)
        if path in indexed:
            raise bad_request("A vector path is named twice in the vectorIndexes.")
        indexed.add(path)
    return vectors


def _embedding(entry: Document) -> VectorPolicy:
    allowed = {"path", "dataType", "distanceFunction", "dimensions"}
    check_members(entry, "vector embedding", allowed)
    dimensions, function = entry.get("dimensions"), str(entry.get("distanceFunction")).lower()
    data_type = entry.get("dataType", "float32")
    subject = "The Vector Embedding Policy has"
    if not is_number(dimensions) or dimensions != int(dimensions) or dimensions < 1:
        raise bad_request(f"{subject} Dimensions:{dimensions} which is not a positive integer.")
    if dimensions > MAX_DIMENSIONS:
        raise bad_request(
            f"{subject} Dimensions:{dimensions} which is more than the maximum supported value: "
            f"{MAX_DIMENSIONS}."
        )
    if function not in FUNCTIONS:
        given = entry.get("distanceFunction")
        raise bad_request(f"{subject} an invalid DistanceFunction:{given}.")
    if data_type not in DATA_TYPES:
        raise bad_request(f"{subject} an invalid DataType:{data_type}.")
    path = parse_path(str(entry.get("path")))
    if not path or "*" in path or "[]" in path:
        raise bad_request("A vector embedding needs a path without wildcards.")
    return VectorPolicy(path, int(dimensions), function, str(data_type))


def _check_index(index: Document, policies: dict[Path, VectorPolicy]) -> Path:
    check_members(index, "vector index", {"path", "type", *_OPTIONS})
    text, kind = str(index.get("path")), index.get("type")
    path = parse_path(text)
    if path not in policies:
        raise bad_request(
            f"The Vector Indexing Policy's path::{text} not matching in Embedding's path."
        )
    if kind not in INDEX_TYPES:
        raise bad_request(f"The Vector Indexing Policy's Index Type::{kind} is invalid.")
    dimensions = policies[path].dimensions
    if kind == "flat" and dimensions > MAX_FLAT_DIMENSIONS:
        raise bad_request(
            f"A flat vector index takes at most {MAX_FLAT_DIMENSIONS} dimensions; "
            f"'{text}' has {dimensions}."
        )
    for name in index.keys() & _OPTIONS.keys():
        kinds, check = _OPTIONS[name]
        if kind not in kinds:
            raise bad_request(f"The vector index type {kind} does not take {name}.")
        check(index[name], dimensions)
    return path


def _check_range(name: str, value: Value, low: int, high: int) -> None:
    if not is_number(value) or value != int(value) or not low <= value <= high:
        raise bad_request(
            f"The Vector Indexing Policy parameter {name} value :: {value} is out of range. "
            f"The allowed range is between {low} and {high}."
        )


def _check_quantization(value: Value, dimensions: int) -> None:
    _check_range("QuantizationByteSize", value, 1, min(dimensions, MAX_QUANTIZATION_BYTES))


def _check_search_list(value: Value, _: int) -> None:
    _check_range("IndexingSearchListSize", value, *SEARCH_LIST)


def _check_shard_key(value: Value, _: int) -> None:
    subject = "The Vector Indexing Policy"
    if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
        raise bad_request("One of the specified inputs is invalid: vectorIndexShardKey is a list.")
    if len(value) != 1:
        raise bad_request(
            f"The number of shard paths defined in the Vector Indexing Policy: {len(value)} "
            "exceeds the maximum: 1."
        )
    if not value[0].startswith("/"):
        raise bad_request(f"{subject} has an invalid Shard Path: {value[0]}.")
    parse_path(value[0])


def _check_quantizer(value: Value, _: int) -> None:
    if value not in ("product", "spherical"):
        raise bad_request(f"The quantizerType {value} is neither 'product' nor 'spherical'.")


_QUANTIZED = ("quantizedFlat", "diskANN")
_OPTIONS: dict[str, tuple[tuple[str, ...], Callable[[Value, int], None]]] = {
    "quantizationByteSize": (_QUANTIZED, _check_quantization),
    "indexingSearchListSize": (("diskANN",), _check_search_list),
    "vectorIndexShardKey": (_QUANTIZED, _check_shard_key),
    "quantizerType": (_QUANTIZED, _check_quantizer),
}
