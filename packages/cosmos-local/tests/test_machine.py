"""Random operations through the synchronous SDK, against a plain dict."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from azure.core import MatchConditions
from azure.cosmos import CosmosClient, exceptions
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos

DECLARATION = {
    "database": "db",
    "containers": [
        {"id": "c", "partitionKey": {"paths": ["/user_id"], "kind": "Hash"}, "defaultTtl": -1}
    ],
}
TTL = 1000
STEPS = st.sampled_from(
    [301, 1301]
)  # seconds; no sum of them comes near the TTL, so real time does not matter
SLOW = os.environ.get("KEEPSAKE_SLOW") == "1"

USERS = st.sampled_from(["a", "b"])
IDS = st.sampled_from(["1", "2", "3"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "n": st.sampled_from([0, 1, 2.5, "x", None, True]),
        "tag": st.sampled_from(["red", "blue"]),
    },
)
TTLS = st.sampled_from([None, TTL, -1])
GUARDS = st.sampled_from(["none", "right", "wrong"])


@dataclass
class Stored:
    """What the model thinks is stored."""

    fields: dict[str, Any]
    etag: str
    dies_at: float


class CosmosMachine(RuleBasedStateMachine):
    """Whatever is done, the database holds what a dict would hold."""

    def __init__(self) -> None:
        """Start with an empty database."""
        super().__init__()
        self.cosmos = LocalCosmos.open(None, DECLARATION)
        self.client = CosmosClient(
            LOCAL_ENDPOINT, credential=LOCAL_KEY, transport=self.cosmos.sync_transport()
        )
        self.container = self.client.get_database_client("db").get_container_client("c")
        self.model: dict[tuple[str, str], Stored] = {}
        self.elapsed = 0.0

    def teardown(self) -> None:
        """Close everything."""
        self.client.close()
        self.cosmos.close()

    def live(self, user: str, item_id: str) -> Stored | None:
        """Return the model's version, if it is not over."""
        stored = self.model.get((user, item_id))
        return stored if stored is not None and stored.dies_at > self.elapsed else None

    def remember(self, user: str, item_id: str, fields: dict[str, Any], etag: str) -> None:
        """Store in the model."""
        ttl = fields.get("ttl", -1)
        self.model[user, item_id] = Stored(
            fields, etag, self.elapsed + ttl if ttl > 0 else float("inf")
        )

    def attempt(self, expected: int, call: Any, *arguments: Any, **options: Any) -> Any:
        """Call the SDK and insist on the status."""
        try:
            answer = call(*arguments, **options)
        except exceptions.CosmosHttpResponseError as refused:
            answer, status = None, refused.status_code
        else:
            status = expected if expected in (200, 201, 204) else 200
        assert status == expected
        return answer

    def guard(self, stored: Stored | None, guard: str) -> dict[str, Any]:
        """Return the options for a conditional write."""
        if guard == "none":
            return {}
        etag = (
            stored.etag
            if guard == "right" and stored is not None
            else '"00000000-0000-0000-0000-000000000000"'
        )
        return {"etag": etag, "match_condition": MatchConditions.IfNotModified}

    @rule(user=USERS, item_id=IDS, fields=FIELDS, ttl=TTLS)
    def create(self, user: str, item_id: str, fields: dict[str, Any], ttl: int | None) -> None:
        """Create works once."""
        body = fields if ttl is None else fields | {"ttl": ttl}
        expected = 201 if self.live(user, item_id) is None else 409
        created = self.attempt(
            expected, self.container.create_item, {"id": item_id, "user_id": user, **body}
        )
        if created is not None:
            self.remember(user, item_id, body, created["_etag"])

    @rule(user=USERS, item_id=IDS, fields=FIELDS, ttl=TTLS)
    def upsert(self, user: str, item_id: str, fields: dict[str, Any], ttl: int | None) -> None:
        """Upsert always works."""
        body = fields if ttl is None else fields | {"ttl": ttl}
        stored = self.attempt(
            200, self.container.upsert_item, {"id": item_id, "user_id": user, **body}
        )
        self.remember(user, item_id, body, stored["_etag"])

    @rule(user=USERS, item_id=IDS, fields=FIELDS, guard=GUARDS)
    def replace(self, user: str, item_id: str, fields: dict[str, Any], guard: str) -> None:
        """Replace needs an item and, if asked, its ETag."""
        old = self.live(user, item_id)
        expected = 404 if old is None else 412 if guard == "wrong" else 200
        body = {"id": item_id, "user_id": user, **fields}
        replaced = self.attempt(
            expected, self.container.replace_item, item_id, body, **self.guard(old, guard)
        )
        if replaced is not None:
            self.remember(user, item_id, fields, replaced["_etag"])

    @rule(user=USERS, item_id=IDS, guard=GUARDS)
    def delete(self, user: str, item_id: str, guard: str) -> None:
        """Delete needs an item and, if asked, its ETag."""
        old = self.live(user, item_id)
        expected = 404 if old is None else 412 if guard == "wrong" else 204
        self.attempt(expected, self.container.delete_item, item_id, user, **self.guard(old, guard))
        if expected == 204:
            del self.model[user, item_id]

    @rule(
        user=USERS,
        item_id=IDS,
        amount=st.integers(-3, 3),
        wanted=st.sampled_from([None, "red", "blue"]),
    )
    def increment(self, user: str, item_id: str, amount: int, wanted: str | None) -> None:
        """A patch counts up a number, if its condition holds."""
        old = self.live(user, item_id)
        options = {} if wanted is None else {"filter_predicate": f"from c where c.tag = '{wanted}'"}
        operations = [{"op": "incr", "path": "/n", "value": amount}]
        expected = 404 if old is None else 200
        if old is not None and wanted is not None and old.fields.get("tag") != wanted:
            expected = 412
        elif old is not None and not _is_number(old.fields.get("n", 0)):
            expected = 400
        patched = self.attempt(
            expected, self.container.patch_item, item_id, user, operations, **options
        )
        if patched is not None and old is not None:
            fields = old.fields | {"n": old.fields.get("n", 0) + amount}
            self.remember(user, item_id, fields, patched["_etag"])

    @rule(user=USERS, first=IDS, second=IDS, fields=FIELDS)
    def batch(self, user: str, first: str, second: str, fields: dict[str, Any]) -> None:
        """A batch upserts one item and creates another, or does nothing."""
        taken = self.live(user, second) is not None or first == second
        operations: list[Any] = [
            ("upsert", ({"id": first, "user_id": user, **fields},)),
            ("create", ({"id": second, "user_id": user},)),
        ]
        try:
            results = self.container.execute_item_batch(operations, user)
        except exceptions.CosmosBatchOperationError as failed:
            results = failed.operation_responses
        statuses = [result["statusCode"] for result in results]
        assert statuses[1] == (409 if taken else 201)
        if taken:
            assert statuses[0] == 424
            return
        self.remember(user, first, fields, results[0]["eTag"])
        self.remember(user, second, {}, results[1]["eTag"])

    @rule(seconds=STEPS)
    def pass_time(self, seconds: int) -> None:
        """Time passes, and what has a TTL gets older."""
        self.cosmos.clock.advance(seconds)
        self.elapsed += seconds

    @rule(user=USERS, item_id=IDS)
    def read(self, user: str, item_id: str) -> None:
        """A point read sees the newest version or nothing."""
        stored = self.live(user, item_id)
        found = self.attempt(
            404 if stored is None else 200, self.container.read_item, item_id, user
        )
        if stored is not None:
            assert _without_system(found) == {"id": item_id, "user_id": user, **stored.fields}
            assert found["_etag"] == stored.etag

    @rule(user=USERS, tag=st.sampled_from(["red", "blue"]))
    def find_by_tag(self, user: str, tag: str) -> None:
        """A filter finds what the model would."""
        query = "SELECT VALUE c.id FROM c WHERE c.user_id = @user AND c.tag = @tag ORDER BY c.id"
        parameters: list[dict[str, object]] = [
            {"name": "@user", "value": user},
            {"name": "@tag", "value": tag},
        ]
        found: list[Any] = list(
            self.container.query_items(
                query, parameters=parameters, partition_key=user, max_item_count=2
            )
        )
        wanted = [key[1] for key in self.model if key[0] == user and self._has_tag(key, tag)]
        assert found == sorted(wanted)

    @rule(user=USERS)
    def count(self, user: str) -> None:
        """A query over a partition sees what is alive, and nothing else."""
        counted: list[Any] = list(
            self.container.query_items("SELECT VALUE COUNT(1) FROM c", partition_key=user)
        )
        assert counted == [
            sum(key[0] == user and self.live(*key) is not None for key in self.model)
        ]

    def _has_tag(self, key: tuple[str, str], tag: str) -> bool:
        stored = self.live(*key)
        return stored is not None and stored.fields.get("tag") == tag

    @invariant()
    def everything_alive_is_counted(self) -> None:
        """No item is lost and none comes back."""
        alive = sum(self.live(*key) is not None for key in self.model)
        now = self.cosmos.clock.now()
        stored = [
            row
            for row in self.cosmos.rows("c")
            if "ttl" not in row or row["ttl"] == -1 or _alive(row, now)
        ]
        assert len(stored) == alive


def _alive(row: dict[str, Any], now: float) -> bool:
    return bool(row["_ts"] + row["ttl"] > now)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _without_system(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if not name.startswith("_")}


TestCosmosMachine = CosmosMachine.TestCase
TestCosmosMachine.settings = settings(
    max_examples=4000 if SLOW else 30,
    stateful_step_count=60 if SLOW else 50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
