"""Documents as rows, and back."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from shared.adapters.postgres.connection import Row
from shared.analysis import Report, RunOptions
from shared.document import Change, Document, DocumentStatus, Failure, HistoryEntry, Lease
from shared.events import DELETED, FeedEvent

# fmt: off
COLUMNS = (
    "id", "owner", "filename", "folder", "content_type", "size", "sha256", "blob_key", "status", "version", "run",
    "attempt", "send", "fence", "lease_holder", "lease_until", "write_id", "due_at", "pages", "words", "title",
    "author", "authored_at", "text_key", "report", "failure_code", "failure_detail", "force", "options", "created_at",
    "updated_at",
)
# fmt: on
SELECTED = ", ".join(COLUMNS)


def document_row(document: Document) -> dict[str, Any]:
    row = {column: getattr(document, column, None) for column in COLUMNS}
    lease, failure, report = document.lease, document.failure, document.report
    return row | {
        "lease_holder": lease and lease.holder,
        "lease_until": lease and lease.until,
        "failure_code": failure and failure.code,
        "failure_detail": failure and failure.detail,
        "report": report and Jsonb(report.model_dump(mode="json")),
        # A run that was asked for nothing in particular, as most are, has none.
        "options": Jsonb(document.options.model_dump(mode="json")) if document.options != RunOptions() else None,
    }


def document_from(row: Row) -> Document:
    values = {column: row[column] for column in COLUMNS}
    holder, until = values.pop("lease_holder"), values.pop("lease_until")
    code, detail = values.pop("failure_code"), values.pop("failure_detail")
    report, options = values.pop("report"), values.pop("options")
    return Document(
        **values | {"status": DocumentStatus(values["status"])},
        lease=Lease(holder=holder, until=until) if holder else None,
        failure=Failure(code=code, detail=detail) if code else None,
        report=Report.from_stored(report) if report else None,
        options=RunOptions.from_stored(options or {}),
    )


def change_row(change: Change) -> dict[str, Any]:
    """The parameters of one move: the new row, what the old one must be, history and event."""
    before, after = change.before, change.after
    return document_row(after) | {
        "from_status": before.status,
        "from_version": before.version,
        "from_fence": before.fence,
        "reason": change.entry.reason,
        "event_status": DELETED if after.status is DocumentStatus.DELETING else after.status,
    }


def history_from(row: Row) -> HistoryEntry:
    return HistoryEntry(
        version=row["version"],
        previous=DocumentStatus(row["from_status"]),
        status=DocumentStatus(row["to_status"]),
        at=row["at"],
        run=row["run"],
        attempt=row["attempt"],
        fence=row["fence"],
        reason=row["reason"],
    )


def event_from(row: Row) -> FeedEvent:
    return FeedEvent(**row)
