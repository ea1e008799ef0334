"""Reading the two indexes. They are only eventually consistent: what they name is read again from the table, or written
on a condition, by whoever asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.adapters.dynamodb import items
from shared.adapters.dynamodb.expressions import Item, Value, Values, expressed, iso, plain
from shared.adapters.dynamodb.table import Table
from shared.document import DocumentStatus
from shared.lists import ListFilter

# A filter works on what has been read: with one, this many entries, of 200 bytes each, are read at a time.
_FILTERED_READ = 500
# Before and behind every entry, which begins with a year and ends with a hexadecimal digit.
_OLDEST, _NEWEST = "0", "~"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListEntry:
    """One document in its owner's list, newest first."""

    document_id: UUID
    order: str
    status: str
    folder: str

    @property
    def created_at(self) -> datetime:
        return datetime.fromisoformat(self.order.partition("#")[0])


async def listed(
    table: Table, owner: UUID, *, where: ListFilter, limit: int | None, before: str | None
) -> list[ListEntry]:
    """At most `limit` entries; without one all of them, read a megabyte at a time."""
    oldest, newest = iso(where.since) if where.since else _OLDEST, _newest(where, before)
    # DynamoDB refuses a range whose ends are the wrong way round.
    if oldest > newest:
        return []
    given: dict[str, Value | None] = {"owner": owner, "oldest": oldest, "newest": newest}
    filtered = ""
    if where.folder is not None:
        given |= {"folder": where.folder, "below": f"{where.folder}/", "uploading": DocumentStatus.UPLOADING}
        # A document gets its folder when its upload ends, which the index may not know yet.
        filtered = "#folder = :folder OR begins_with(#folder, :below) OR #status = :uploading"
    keys = "#owner = :owner AND #list_order BETWEEN :oldest AND :newest"
    request = expressed(given, KeyConditionExpression=keys, FilterExpression=filtered)
    if limit is not None:
        request["Limit"] = max(limit, _FILTERED_READ) if filtered else limit
    found = await table.query({"IndexName": items.LIST_INDEX, "ScanIndexForward": False, **request}, limit=limit)
    return [_list_entry(one) for one in found]


def has_more_to_ask(where: ListFilter) -> bool:
    """Whether the filter asks for what the index does not hold, or may be late with: what a document is now."""
    return (where.status, where.content_type, where.label, where.name) != (None, None, None, None)


async def due(
    table: Table,
    *,
    until: datetime | None = None,
    where: str = "",
    given: Values | None = None,
    limit: int | None = None,
) -> list[UUID]:
    """The documents that are due until then, or ever, longest due first."""
    found = await _in_shard(table, items.DUE_SHARD, until=until, where=where, given=given or {}, limit=limit)
    return [_document_id(one) for one in found]


async def feeds(table: Table, *, until: datetime | None = None, limit: int | None = None) -> list[UUID]:
    """The owners whose feeds are due to be trimmed until then; without a time, of all feeds."""
    found = await _in_shard(table, items.FEED_SHARD, until=until, limit=limit)
    return [items.feed_owner(one) for one in found]


async def _in_shard(
    table: Table,
    shard: str,
    *,
    until: datetime | None,
    where: str = "",
    given: Values | None = None,
    limit: int | None,
) -> list[Item]:
    # "$" sorts right behind the "#" between time and id.
    last = f"{iso(until)}$" if until else None
    request = expressed(
        {**(given or {}), "shard": shard, "last": last},
        KeyConditionExpression=_all_of({"#due_shard = :shard": shard, "#due_order < :last": last}),
        FilterExpression=where,
    )
    paging = {"Limit": limit} if limit else {}
    return await table.query({"IndexName": items.DUE_INDEX, **request, **paging}, limit=limit)


def _all_of(conditions: Values) -> str:
    """The conditions that have a value."""
    return " AND ".join(condition for condition, value in conditions.items() if value is not None)


def _newest(where: ListFilter, before: str | None) -> str:
    """The end of the range, which is part of it: right before `before`, and before any entry of the time `until`."""
    ends = [iso(where.until)] if where.until else []
    if before is not None:
        ends.append(f"{before[:-1]}{chr(ord(before[-1]) - 1)}{_NEWEST}")
    return min(ends, default=_NEWEST)


def _list_entry(entry: Item) -> ListEntry:
    values = plain(entry)
    return ListEntry(
        document_id=items.id_in(values),
        order=values["list_order"],
        status=values["status"],
        folder=values["folder"],
    )


def _document_id(entry: Item) -> UUID:
    return items.id_in(plain(entry))
