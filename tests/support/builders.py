"""Documents for tests that are about the store, not about files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.analysis import Analysis, AnalyzerInfo, Classification, Coverage, Report, Sentiment, Usage
from shared.clock import uuid7
from shared.document import UPLOAD_GRACE, Change, Document, DocumentStatus, Failure, Lease, advance, blob_prefix

# Not long ago, because a store may act at any moment on a time to live that is over; and a day later is past as well.
NOW = datetime.now(UTC).replace(hour=3, minute=4, second=5, microsecond=678901) - timedelta(days=2)
S = DocumentStatus


def new_document(*, owner: UUID | None = None, at: datetime = NOW, **facts: Any) -> Document:
    owner, document_id = owner or uuid4(), uuid7()
    defaults: dict[str, Any] = {
        "id": document_id,
        "owner": owner,
        "filename": "paper.pdf",
        "folder": "",
        "content_type": "application/pdf",
        "size": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "blob_key": f"{blob_prefix(owner, document_id)}original",
        "write_id": uuid4(),
        "due_at": at + UPLOAD_GRACE,
        "created_at": at,
        "updated_at": at,
    }
    return Document(**{**defaults, **facts})


def lease(holder: str = "worker-a", *, at: datetime = NOW, seconds: float = 60) -> Lease:
    return Lease(holder=holder, until=at + timedelta(seconds=seconds))


def move(document: Document, to: DocumentStatus, *, at: datetime = NOW, **facts: Any) -> Change:
    """A move with everything that the status needs filled in."""
    if to is S.PROCESSING:
        facts.setdefault("lease", lease(at=at))
    if to is S.FAILED:
        facts.setdefault("failure", Failure(code="corrupt", detail="The document is damaged."))
    if to is S.COMPLETED:
        facts.setdefault("report", report())
    return advance(document, to, at=at, write_id=uuid4(), **facts)


def moves(document: Document, *path: DocumentStatus, at: datetime = NOW) -> list[Change]:
    changes = []
    for to in path:
        changes.append(move(document, to, at=at))
        document = changes[-1].after
    return changes


def report() -> Report:
    return Report(
        analysis=Analysis(
            summary="A short text.",
            topics=["text"],
            sentiment=Sentiment(label="neutral", score=0.0),
            action_items=[],
            classification=Classification(label="other", confidence=0.1),
            tags=["text"],
            language="en",
        ),
        analyzer=AnalyzerInfo(name="offline", model="offline-1", prompt_version="-"),
        coverage=Coverage(verdict="complete", pages_total=1, pages_with_text=1, chars_extracted=13, chars_analyzed=13),
        usage=Usage(),
    )


def unreadable_report() -> Report:
    """What a later version may have written: a word where this one knows only others."""
    made = report()
    return made.model_copy(update={"analyzer": made.analyzer.model_copy(update={"name": "of-later"})})
