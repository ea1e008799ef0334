"""What a list of documents may be narrowed to, and a place in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.document import Document, DocumentStatus
from shared.folders import contains


@dataclass(frozen=True, kw_only=True, slots=True)
class ListFilter:
    """A folder includes its subfolders.

    `since` is the first time of upload that counts, `until` the first that does not.
    `label` is that of the analysis or one of the owner's own, `name` any part of a filename, both in any case.
    """

    status: DocumentStatus | None = None
    folder: str | None = None
    content_type: str | None = None
    label: str | None = None
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def admits(self, document: Document) -> bool:
        return (
            self.status in {None, document.status}
            and contains(self.folder or "", document.folder)
            and self.content_type in {None, document.content_type}
            and (self.label is None or self.label.lower() in _labels(document))
            and (self.name is None or self.name.lower() in document.filename.lower())
            and (self.since is None or document.created_at >= self.since)
            and (self.until is None or document.created_at < self.until)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ListPosition:
    """The last document of the page before, in the order newest first."""

    created_at: datetime
    id: UUID


def _labels(document: Document) -> set[str]:
    report = document.report
    given = report.classification.label if report and report.classification else None
    found = report.analysis.classification.label if report else None
    return {label.lower() for label in (given, found) if label is not None}
