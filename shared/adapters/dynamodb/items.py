"""Documents, their history and their feed as items of the table, and back."""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.adapters.dynamodb.expressions import Item, Key, Value, Values, iso, plain
from shared.analysis import Report, RunOptions
from shared.document import Change, Document, DocumentStatus, Failure, HistoryEntry, Lease, blob_prefix
from shared.events import DELETED, FEED_KEPT_FOR, FeedEvent, FeedHead

DOCUMENT = "M"
HEAD = "HEAD"
# One partition, so that a sweep is one request, idle ones included. It takes about 1,000 writes a second, which is
# some 200 documents a second; another shard for every so many more.
DUE_SHARD = "0"
FEED_SHARD = "feeds"
# An index is only eventually consistent: it says where to look, and what it says is read again from the table.
DUE_INDEX = "due"
LIST_INDEX = "list"

# fmt: off
_PLAIN = (
    "filename", "folder", "content_type", "size", "sha256", "version", "run", "attempt", "send", "fence",
    "pages", "words", "title", "author", "force",
)
# fmt: on
_BLOBS = ("blob_key", "text_key")
_IDS = ("owner", "write_id")
_TIMES = ("created_at", "updated_at")
# Time to live must not be faster than those who raise the floor of a feed, even after some days without a worker.
_TRIM_GRACE = timedelta(days=7)
# What a tombstone gives up. The Document needs its texts, so they are empty rather than gone.
TOMBSTONE: Values = {
    **dict.fromkeys(("filename", "folder", "sha256", "blob_key"), ""),
    **dict.fromkeys(("text_key", "report", "pages", "words", "title", "author", "authored_at")),
    **dict.fromkeys(("options", "failure_code", "failure_detail")),
    "size": 0,
}


def key(partition: str, sort: str) -> Key:
    return {"PK": partition, "SK": sort}


def document_key(document_id: UUID) -> Key:
    return key(f"D#{document_id}", DOCUMENT)


def id_in(values: dict[str, Any]) -> UUID:
    return UUID(values["PK"].removeprefix("D#"))


def history_key(document_id: UUID, version: int) -> Key:
    return key(f"D#{document_id}", f"H#{version:08}")


def head_key(owner: UUID) -> Key:
    return key(f"F#{owner}", HEAD)


def event_key(owner: UUID, seq: int) -> Key:
    return key(f"F#{owner}", f"E#{seq:012}")


def due_values(document_id: UUID, due_at: datetime | None) -> dict[str, Value | None]:
    """`due_at` and the document's place in the due index, which is sparse: who is idle is not in it."""
    if due_at is None:
        return {"due_at": None, "due_shard": None, "due_order": None}
    return {
        "due_at": due_at,
        "due_shard": DUE_SHARD,
        "due_order": f"{iso(due_at)}#{document_id}",
    }


def list_order(created_at: datetime, document_id: UUID) -> str:
    return f"{iso(created_at)}#{document_id}"


def document_values(document: Document) -> dict[str, Value | None]:
    """Every attribute but the key, with None for those that the document does not have."""
    lease, failure, report = document.lease, document.failure, document.report
    deleting = document.status is DocumentStatus.DELETING
    return {
        **{name: getattr(document, name) for name in (*_PLAIN, *_IDS, *_TIMES)},
        # An item is paid for by the kilobyte: what every key begins with is not kept in each.
        **{name: _within(document.prefix, getattr(document, name)) for name in _BLOBS},
        **due_values(document.id, document.due_at),
        "status": document.status,
        "authored_at": document.authored_at,
        "lease_holder": lease.holder if lease else None,
        "lease_until": lease.until if lease else None,
        "failure_code": failure.code if failure else None,
        "failure_detail": failure.detail if failure else None,
        "report": packed(report.model_dump(mode="json")) if report else None,
        # A run that was asked for nothing in particular, as most are, has none.
        "options": packed(document.options.model_dump(mode="json")) if document.options != RunOptions() else None,
        "list_order": None if deleting else list_order(document.created_at, document.id),
    }


def document_from(stored: Item) -> Document:
    values = plain(stored)
    document_id, owner = id_in(values), UUID(values["owner"])
    facts: dict[str, Any] = {
        **{name: values.get(name) for name in _PLAIN},
        **{name: _under(blob_prefix(owner, document_id), values.get(name)) for name in _BLOBS},
        **{name: UUID(values[name]) for name in _IDS},
        **{name: datetime.fromisoformat(values[name]) for name in _TIMES},
    }
    holder, code, report = values.get("lease_holder"), values.get("failure_code"), values.get("report")
    options = values.get("options")
    return Document(
        id=document_id,
        status=DocumentStatus(values["status"]),
        **facts,
        due_at=datetime.fromisoformat(values["due_at"]) if "due_at" in values else None,
        authored_at=datetime.fromisoformat(values["authored_at"]) if "authored_at" in values else None,
        lease=Lease(holder=holder, until=datetime.fromisoformat(values["lease_until"])) if holder else None,
        failure=Failure(code=code, detail=values["failure_detail"]) if code else None,
        report=Report.from_stored(unpacked(report)) if report else None,
        options=RunOptions.from_stored(unpacked(options) if options else {}),
    )


def _within(prefix: str, blob_key: str | None) -> str | None:
    return blob_key and blob_key.removeprefix(prefix)


def _under(prefix: str, name: str | None) -> str | None:
    # A tombstone's is empty.
    return name and f"{prefix}{name}"


def history_values(changes: Sequence[Change], seq: int) -> dict[str, Value | None]:
    """The entries of one transaction as one item, because each item is paid for; the last one by attributes.

    It keeps the `seq` of the last one's event, so that a deletion finds their events.
    """
    *earlier, last = [_entry_values(change) for change in changes]
    after = changes[-1].after
    packed_earlier = packed(earlier) if earlier else None
    return {**history_key(after.id, after.version), **last, "seq": seq, "earlier": packed_earlier}


def history_in(stored: Item) -> list[HistoryEntry]:
    values = plain(stored)
    return [_entry_from(one) for one in (*_earlier(values), values)]


def event_keys(stored: Item, owner: UUID) -> list[Key]:
    """Of a history item's events."""
    values = plain(stored)
    last: int = values["seq"]
    return [event_key(owner, seq) for seq in range(last - len(_earlier(values)), last + 1)]


def _earlier(values: dict[str, Any]) -> list[dict[str, Any]]:
    return unpacked(values["earlier"]) if "earlier" in values else []


def _entry_values(change: Change) -> dict[str, Value | None]:
    entry = change.entry
    return {
        "from_status": change.before.status,
        "to_status": change.after.status,
        "version": entry.version,
        "at": iso(entry.at),
        "run": entry.run,
        "attempt": entry.attempt,
        "fence": entry.fence,
        "reason": entry.reason,
    }


def _entry_from(values: dict[str, Any]) -> HistoryEntry:
    return HistoryEntry(
        version=values["version"],
        previous=DocumentStatus(values["from_status"]),
        status=DocumentStatus(values["to_status"]),
        at=datetime.fromisoformat(values["at"]),
        run=values["run"],
        attempt=values["attempt"],
        fence=values["fence"],
        reason=values.get("reason"),
    )


def event_values(change: Change, seq: int) -> dict[str, Value | None]:
    after = change.after
    failure = after.failure
    deleting = after.status is DocumentStatus.DELETING
    return {
        **event_key(after.owner, seq),
        "seq": seq,
        "document_id": after.id,
        "filename": after.filename,
        "folder": after.folder,
        "version": after.version,
        "status": DELETED if deleting else after.status,
        "at": after.updated_at,
        "attempt": after.attempt,
        "reason": change.entry.reason,
        "error_code": failure.code if failure else None,
        "error_detail": failure.detail if failure else None,
        "ttl": int((after.updated_at + FEED_KEPT_FOR + _TRIM_GRACE).timestamp()),
    }


def event_from(stored: Item) -> FeedEvent:
    values = plain(stored)
    return FeedEvent(
        seq=values["seq"],
        document_id=UUID(values["document_id"]),
        filename=values.get("filename", ""),
        folder=values.get("folder", ""),
        version=values["version"],
        status=values["status"],
        at=datetime.fromisoformat(values["at"]),
        attempt=values["attempt"],
        reason=values.get("reason"),
        error_code=values.get("error_code"),
        error_detail=values.get("error_detail"),
    )


def new_head_values(owner: UUID, *, at: datetime, seq: int = 0) -> dict[str, Value | None]:
    place = trim_values(owner, at + FEED_KEPT_FOR)
    return {**head_key(owner), "epoch": new_epoch(), "seq": seq, "floor": 0, **place}


def new_epoch() -> str:
    return secrets.token_hex(4)


def trim_values(owner: UUID, at: datetime) -> dict[str, Value | None]:
    """The feed's place in the due index, in a shard of its own: when to look for events that are too old."""
    return {"due_shard": FEED_SHARD, "due_order": f"{iso(at)}#{owner}"}


def feed_owner(stored: Item) -> UUID:
    return UUID(plain(stored)["PK"].removeprefix("F#"))


def head_from(stored: Item) -> FeedHead:
    values = plain(stored)
    return FeedHead(epoch=values["epoch"], seq=values["seq"], floor=values["floor"])


def packed(value: Any) -> bytes:
    """JSON, compressed: an item is paid for by the kilobyte, at every write."""
    return zlib.compress(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def unpacked(stored: bytes) -> Any:
    return json.loads(zlib.decompress(stored))
