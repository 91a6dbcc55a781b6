"""VectorDistance: how a call measures, and what it gives without an index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cosmos_local import vectors
from cosmos_local.containers import Definition
from cosmos_local.errors import bad_request
from cosmos_local.evaluator import Compiler
from cosmos_local.keys import Path
from cosmos_local.shapes import check_members
from cosmos_local.syntax import Call
from cosmos_local.values import UNDEFINED, Document, Value, is_number
from cosmos_local.vector_policy import DATA_TYPES, FUNCTIONS

_BRUTE_FORCE, _OPTIONS = 2, 3  # places of the optional arguments


@dataclass(frozen=True)
class Measure:
    """What a call compares with, and by which function."""

    vector: list[float]
    function: str

    @staticmethod
    def options(call: Call, compiler: Compiler) -> Document:
        """Check the optional arguments and return the last; it wins over the policy."""
        arguments = call.arguments
        if len(arguments) > _BRUTE_FORCE and not isinstance(
            compiler.constant(arguments[_BRUTE_FORCE]), bool
        ):
            raise bad_request("The third argument of VectorDistance must be a boolean.")
        options = compiler.constant(arguments[_OPTIONS]) if len(arguments) > _OPTIONS else {}
        checked = check_members(options, "options of VectorDistance", _CHECKS)
        for name, value in checked.items():
            if not _CHECKS[name](value):
                raise bad_request(f"The option {name} of VectorDistance is invalid: {value}.")
        return checked


def read_measure(call: Call, path: Path, definition: Definition, compiler: Compiler) -> Measure:
    """Check a call over a path of the document; without a policy it measures by the cosine."""
    policy = definition.vector_policy(path)
    vector = compiler.constant(call.arguments[1])
    if not isinstance(vector, list) or not vector or not all(map(is_number, vector)):
        raise bad_request("VectorDistance needs an array of numbers to compare with.")
    if policy is not None and len(vector) != policy.dimensions:
        raise bad_request(
            f"VectorDistance got a vector of {len(vector)} dimensions where the policy has "
            f"{policy.dimensions}."
        )
    return Measure(vector, function_of(call, definition, path, compiler))


def function_of(call: Call, definition: Definition, path: Path, compiler: Compiler) -> str:
    """Return the distance function of a call: its own, its policy's, or the cosine."""
    policy = definition.vector_policy(path)
    stated = "cosine" if policy is None else policy.function
    return str(Measure.options(call, compiler).get("distanceFunction", stated)).lower()


def distance_of(left: Value, right: Value, function: str) -> Value:
    """Compare two values that are not in an index; undefined unless vectors of one length."""
    for vector in (left, right):
        if not isinstance(vector, list) or not vector or not all(map(is_number, vector)):
            return UNDEFINED
    if not isinstance(left, list) or not isinstance(right, list) or len(left) != len(right):
        return UNDEFINED
    return vectors.compare(left, right, function)


def _is_within(low: float, high: float) -> Callable[[Value], bool]:
    return lambda value: is_number(value) and low <= value <= high


_CHECKS: dict[str, Callable[[Value], bool]] = {
    "distanceFunction": lambda value: str(value).lower() in FUNCTIONS,
    "dataType": lambda value: str(value).lower() in DATA_TYPES,
    # how an approximate index searches; the search is exact here, so these change nothing
    "searchListSizeMultiplier": _is_within(1, 100),
    "quantizedVectorListMultiplier": _is_within(1, 100),
    "filterPriority": _is_within(0, 1),
}
