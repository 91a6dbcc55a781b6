"""The change feed: the newest version of every item written since a change number."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from cosmos_local.errors import bad_request
from cosmos_local.paging import MAX_PAGE_BYTES
from cosmos_local.storage import Area, Storage
from cosmos_local.wire import WireRequest


@dataclass(frozen=True, slots=True)
class Changes:
    """One page of the feed, and the ETag from which the next one goes on."""

    documents: list[str]
    etag: str


def read_changes(
    request: WireRequest, area: Area, size: int, storage: Storage, now: float
) -> Changes:
    """Answer a request with `A-IM: Incremental Feed`; deletes and expiries leave no trace in it."""
    if request.headers["a-im"] != "Incremental Feed":
        raise bad_request(
            f"The change feed mode '{request.headers['a-im']}' is not supported here."
        )
    newest = storage.last_change(area.container)
    after = _after(request.headers.get("if-none-match"), newest)
    since = _since(request.headers.get("if-modified-since"))
    documents: list[str] = []
    used = 0
    for item in storage.changes(area, after, newest, size, now):
        text = item.text()
        if documents and used + len(text) > MAX_PAGE_BYTES:
            break
        after = item.change
        if item.stamp() >= since:
            documents.append(f'{text[:-1]},"_lsn":{item.change}}}')
            used += len(text)
    else:
        if len(documents) < size:
            after = newest
    return Changes(documents, f'"{after}"')


def _after(etag: str | None, newest: int) -> int:
    if etag is None:
        return 0
    if etag == "*":
        return newest
    number = etag.strip('"')
    if not number.isdigit() or len(number) > 18:  # noqa: PLR2004 - SQLite's integers end there
        raise bad_request("The change feed continuation is invalid.")
    return int(number)


def _since(date: str | None) -> int:
    if date is None:
        return 0
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except ValueError as error:
        raise bad_request("The If-Modified-Since header is not a date.") from error
