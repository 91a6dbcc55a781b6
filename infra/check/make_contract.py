"""Makes contract.json: `python -m infra.check.make_contract <folder>`, after a new resource type or API version.

The folder holds the type data that the Bicep compiler itself uses (Azure/bicep-types-az, MIT licence), one file per
type and version, named like Microsoft.Web__sites@2025-03-01.json. Kept are the names of properties with their types,
and deeper down only what infra/ uses.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.check.bicep import BicepFile, is_existing, read, type_of
from infra.check.contract import ALWAYS_READABLE, CONTRACT
from infra.check.values import Choice, Listing, Record, Value, resource_body

REQUIRED, READ_ONLY = 1, 2
SCALARS = {"StringType": "string", "IntegerType": "int", "BooleanType": "bool"}
OF_AZURE = ALWAYS_READABLE - {"name"}
COLLECTIONS = {"ObjectType", "DiscriminatedObjectType", "ArrayType"}
INFRA = Path(__file__).parent.parent
READ = {  # what files read of a resource, deeper than the contract would go for what they write
    "Microsoft.Storage/storageAccounts": Record(
        {"properties": Record({"primaryEndpoints": Record({}, 0)}, 0)}, 0
    ),
}


class Types:
    """The types of one file, which refer to each other by number."""

    def __init__(self, path: Path) -> None:
        """Read them; the first one is the resource."""
        self._types: list[dict[str, Any]] = json.loads(path.read_text())

    def resource(self, used: list[Value]) -> dict[str, object]:
        """The resource's shape as deep as it is used."""
        body = self._types[int(self._types[0]["body"]["$ref"].rpartition("/")[2])]
        make = self._discriminated if body["$type"] == "DiscriminatedObjectType" else self._object
        shape = make(body, used)
        return {name: part for name, part in shape.items() if name.rstrip("!~") not in OF_AZURE}

    def _shape(self, reference: dict[str, str], used: list[Value]) -> object:
        found = self._types[int(reference["$ref"].rpartition("/")[2])]
        if found["$type"] not in COLLECTIONS:
            return self._single(found)
        if not used:
            return "any"
        if found["$type"] == "ArrayType":
            return [self._shape(found["itemType"], list(_items(used)))]
        return (
            self._object(found, used)
            if found["$type"] == "ObjectType"
            else self._discriminated(found, used)
        )

    def _single(self, found: dict[str, Any]) -> str:
        match found["$type"]:
            case "StringLiteralType":
                return f"={found['value']}"
            case "UnionType":
                return self._union(found)
            case "StringType" if "pattern" in found:
                return f"/{found['pattern']}/"
            case kind:
                return SCALARS.get(kind, "any")

    def _union(self, found: dict[str, Any]) -> str:
        options = [
            self._types[int(option["$ref"].rpartition("/")[2])] for option in found["elements"]
        ]
        constants = [
            option["value"] for option in options if option["$type"] == "StringLiteralType"
        ]
        return "=" + "|".join(constants) if constants else "any"

    def _object(self, found: dict[str, Any], used: list[Value]) -> dict[str, object]:
        made = self._properties(found.get("properties") or {}, used)
        if "additionalProperties" in found:
            made["*"] = self._shape(
                found["additionalProperties"], [field for each in used for field in _fields(each)]
            )
        return made

    def _discriminated(self, found: dict[str, Any], used: list[Value]) -> dict[str, object]:
        made = self._properties(found["baseProperties"], used)
        by = made["@by"] = str(found["discriminator"])
        chosen = {
            getattr(each.fields.get(by), "constant", "")
            for each in used
            if isinstance(each, Record)
        }
        made["@cases"] = {
            case: self._shape(reference, used) if case in chosen else {"*": "any"}
            for case, reference in found["elements"].items()
        }
        return made

    def _properties(self, properties: dict[str, Any], used: list[Value]) -> dict[str, object]:
        made = {}
        for name, declared in properties.items():
            flags = declared["flags"]
            mark = "!" if flags & REQUIRED else "~" if flags & READ_ONLY else ""
            inner = [
                each.fields[name]
                for each in used
                if isinstance(each, Record) and name in each.fields
            ]
            made[name + mark] = self._shape(declared["type"], list(_flat(inner)))
        return made


def main() -> None:
    """Write the contract of what infra/ uses now."""
    folder, contract = Path(sys.argv[1]), {}
    for name, used in sorted(
        _used([read(path) for path in sorted(INFRA.rglob("*.bicep"))]).items()
    ):
        contract[name] = Types(folder / f"{name.replace('/', '__')}.json").resource(used)
    CONTRACT.write_text(json.dumps(contract, indent=1) + "\n")


def _used(files: list[BicepFile]) -> dict[str, list[Value]]:
    used: dict[str, list[Value]] = {}
    for file in files:
        for node in file.resources.values():
            bodies = used.setdefault(type_of(node), [Record({}, 0), *_read_of(type_of(node))])
            if not is_existing(node):
                bodies.append(resource_body(file, node))
    return used


def _read_of(name: str) -> list[Value]:
    return [READ[name.partition("@")[0]]] if name.partition("@")[0] in READ else []


def _flat(values: list[Value]) -> Iterator[Value]:
    for value in values:
        yield from _flat(list(value.options)) if isinstance(value, Choice) else [value]


def _items(values: list[Value]) -> Iterator[Value]:
    for value in values:
        yield from _flat(list(value.items)) if isinstance(value, Listing) else []


def _fields(value: Value) -> Iterator[Value]:
    yield from _flat(list(value.fields.values())) if isinstance(value, Record) else []


if __name__ == "__main__":
    main()
