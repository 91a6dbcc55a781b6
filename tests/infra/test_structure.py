"""infra/ is what Azure accepts, as far as can be told without Azure."""

import pytest

from infra.check.bicep import type_of
from infra.check.contract import CONTRACT, load_contract
from infra.check.finding import Finding
from infra.check.run import bicep_files, check_file
from tests.infra.conftest import Said

REDIS, STORAGE, COSMOS, MAIN = (
    "modules/redis.bicep",
    "modules/storage.bicep",
    "modules/cosmos.bicep",
    "main.bicep",
)
APP, VAULT = "modules/app.bicep", "modules/vault.bicep"
ACCESS, OPTIONAL = "modules/access.bicep", "modules/access-optional.bicep"
MISTAKES = {
    "a missing brace": (REDIS, "  tags: tags\n  sku", "  tags: {\n  sku", "syntax", ""),
    "a type that is none": (
        REDIS,
        "Microsoft.Cache/redisEnterprise@",
        "Microsoft.Cache/managedRedis@",
        "unknown-type",
        "",
    ),
    "a version that is none": (
        STORAGE,
        "Accounts@2025-06-01'",
        "Accounts@2025-06-31'",
        "unknown-type",
        "",
    ),
    "a misspelt property": (
        REDIS,
        "publicNetworkAccess",
        "publicNetworkAcess",
        "unknown-property",
        "NetworkAccess",
    ),
    "a constant that is none": (REDIS, "'NoCluster'", "'NonClustered'", "wrong-value", "NoCluster"),
    "a property left out": (
        REDIS,
        "    publicNetworkAccess: privateNetwork ? 'Disabled' : 'Enabled'\n",
        "",
        "missing-property",
        "publicNetworkAccess",
    ),
    "a property given twice": (
        REDIS,
        "port: 10000",
        "port: 10000\n    port: 10001",
        "duplicate",
        "port",
    ),
    "an undefined name": (
        COSMOS,
        "maxThroughput: maxThroughput",
        "maxThroughput: most",
        "undefined",
        "most",
    ),
    "text for a number": (REDIS, "port: 10000", "port: '10000'", "wrong-type", "int"),
    "a function that is none": (
        MAIN,
        "uniqueString(",
        "uniqString(",
        "unknown-function",
        "uniqString",
    ),
    "writing what Azure sets": (
        REDIS,
        "    minimumTlsVersion",
        "    hostName: 'x'\n    minimumTlsVersion",
        "read-only",
        "",
    ),
    "reading what is not there": (
        REDIS,
        "properties.hostName",
        "properties.hostName2",
        "unknown-property",
        "hostName2",
    ),
    "an unused parameter": (
        REDIS,
        "param skuName string",
        "param skuName string\nparam extra int",
        "unused",
        "extra",
    ),
    "an unused variable": (
        COSMOS,
        "var autoscale",
        "var spare = 1\nvar autoscale",
        "unused",
        "spare",
    ),
    "no name": (VAULT, "  name: name\n", "", "missing-property", "name"),
    "a misspelt parameter": (
        MAIN,
        "skuName: redisSku",
        "skuNam: redisSku",
        "module-parameter",
        "'skuNam'",
    ),
    "a missing parameter": (MAIN, "    skuName: redisSku\n", "", "module-parameter", "skuName"),
    "a parameter of another type": (
        MAIN,
        "skuName: redisSku",
        "skuName: redisPort",
        "module-parameter",
        "string",
    ),
    "a default that is not allowed": (
        MAIN,
        "  'entra'\n",
        "  'entraid'\n",
        "wrong-value",
        "'entra'",
    ),
    "a value a module does not take": (MAIN, "  'S1'\n", "  'S2'\n", "module-parameter", "'S2'"),
    "a missing output": (
        MAIN,
        "redis!.outputs.hostName",
        "redis!.outputs.host",
        "module-output",
        "host",
    ),
    "a missing file": (
        MAIN,
        "./modules/redis.bicep",
        "./modules/Redis.bicep",
        "module-missing",
        "Redis.bicep",
    ),
    "a module property that is none": (
        MAIN,
        "  name: 'redis'",
        "  nam: 'redis'",
        "unknown-property",
        "nam",
    ),
    "a hyphen where none may be": (
        OPTIONAL,
        "'app${unique",
        "'app-${unique",
        "wrong-value",
        "app-",
    ),
    "a number for an object": (
        APP,
        "triggers: {",
        "triggers: 1 \n        other: {",
        "wrong-type",
        "object",
    ),
    "text for an array": (
        STORAGE,
        "    logs: [",
        "    logs: 'all'\n    other: [",
        "wrong-type",
        "array",
    ),
    "an unknown backup policy": (
        COSMOS,
        "type: 'Continuous'",
        "type: 'Constant'",
        "wrong-value",
        "Periodic",
    ),
    "an item without what a loop reads": (
        "modules/alerts.bicep",
        "    threshold: 10\n",
        "",
        "unknown-property",
        "threshold",
    ),
    "a target without its service": (
        "modules/private-endpoints.bicep",
        "    groupId: 'redisEnterprise'\n",
        "",
        "unknown-property",
        "groupId",
    ),
    "a child without its parent": (COSMOS, "  parent: database\n", "", "place", "sqlDatabases"),
    "a child of somebody else": (
        COSMOS,
        "  parent: database\n",
        "  parent: account\n",
        "place",
        "sqlDatabases",
    ),
    "a module without its group": (
        MAIN,
        "  name: 'redis'\n  scope: group\n",
        "  name: 'redis'\n",
        "place",
        "scope",
    ),
    "a group in a group": (MAIN, "targetScope = 'subscription'", "", "place", "subscription"),
    "a resource without a region": (COSMOS, "  location: location\n", "", "place", "location"),
    "somebody without a name": (ACCESS, "  name: storageName\n", "", "missing-property", "name"),
    "an array with a type": (
        MAIN,
        "param redisSku string",
        "param redisSku string[]",
        "subset",
        "",
    ),
    "a lambda": (COSMOS, "? concat(search,", "? map(search, x => x,", "subset", "for"),
    "a nested resource": (
        STORAGE,
        "      days: 7\n    }\n  }\n}",
        "      days: 7\n    }\n  }\n  resource inner 'containers' = {\n    name: 'x'\n  }\n}",
        "subset",
        "parent",
    ),
    "a ternary over lines": (
        STORAGE,
        "zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'",
        "zoneRedundant\n      ? 'Standard_ZRS'\n      : 'Standard_LRS'",
        "subset",
        "line",
    ),
}


def test_the_templates_pass_every_check() -> None:
    """Nothing is wrong with what is committed."""
    files = bicep_files()
    assert len(files) > 15
    assert [str(finding) for file in files for finding in check_file(file)] == []


@pytest.mark.parametrize(
    ("file", "right", "wrong", "rule", "says"), MISTAKES.values(), ids=MISTAKES
)
def test_a_mistake_is_noticed(
    said_of: Said, file: str, right: str, wrong: str, rule: str, says: str
) -> None:
    """Each mistake is found, by the check that is there for it, and named."""
    found = said_of(file, right, wrong)
    assert [finding for finding in found if finding.rule == rule and says in finding.message]


def test_a_mistake_is_found_where_it_is(said_of: Said) -> None:
    """A finding leads to the line."""
    found = said_of(REDIS, "port: 10000", "port: '10000'")
    source = (found[0].path.read_text()).splitlines()
    assert found == [Finding(found[0].path, found[0].line, "wrong-type", found[0].message)]
    assert "port: 10000" in source[found[0].line - 1]


def test_the_contract_is_no_larger_than_what_is_used() -> None:
    """It has the types that are deployed, at their versions, and no other."""
    used = {type_of(node) for file in bicep_files() for node in file.resources.values()}
    assert load_contract().keys() == used
    assert CONTRACT.stat().st_size < 60_000
