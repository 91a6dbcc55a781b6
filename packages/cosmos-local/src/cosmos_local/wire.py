"""Requests and answers as they are on the wire, whatever carried them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote

from cosmos_local.errors import bad_request


@dataclass(frozen=True)
class WireRequest:
    """One HTTP request to the gateway; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    base: str = "https://local.documents.azure.com"

    @cached_property
    def segments(self) -> list[str]:
        """Return the decoded parts of the path."""
        return [unquote(part) for part in self.path.partition("?")[0].split("/") if part]

    def flag(self, header: str) -> bool:
        """Tell whether a boolean header is set."""
        return self.headers.get(header, "").lower() == "true"

    @property
    def is_query(self) -> bool:
        """Tell whether a POST is a query."""
        media = self.headers.get("content-type", "")
        return self.method == "POST" and (
            self.flag("x-ms-documentdb-isquery") or media.startswith("application/query+json")
        )

    def number(self, header: str, default: int) -> int:
        """Read an integer header, and refuse anything else."""
        try:
            return int(self.headers.get(header, default))
        except ValueError as error:
            raise bad_request(f"The header {header} must be an integer.") from error

    @cached_property
    def kind(self) -> str:
        """Name the request: read, create, query, batch, …; metadata is all but documents."""
        on_documents = len(self.segments) in (5, 6) and self.segments[4] == "docs"
        if not on_documents:
            return "metadata"
        if self.method == "POST":
            return self._kind_of_post()
        if self.method == "GET" and len(self.segments) == 5:  # noqa: PLR2004 - a feed has no item id
            return "change_feed" if "a-im" in self.headers else "feed"
        return {"GET": "read", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}.get(
            self.method, "metadata"
        )

    def _kind_of_post(self) -> str:
        if self.flag("x-ms-cosmos-is-query-plan-request"):
            return "query_plan"
        if self.is_query:
            return "query"
        if self.flag("x-ms-cosmos-is-batch-request"):
            return "batch"
        return "upsert" if self.flag("x-ms-documentdb-is-upsert") else "create"


@dataclass(frozen=True)
class WireResponse:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
