"""What the API answers, as pydantic models: the source of the OpenAPI schema."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.accounts import Role, User
from shared.analysis import Analysis, AnalyzerInfo, Coverage, Labelling, StageResult, Usage
from shared.document import Document, DocumentStatus, Failure, HistoryEntry


class Schema(BaseModel):
    """Built when it is first used: a Lambda function sees a few of them before it ends."""

    model_config = ConfigDict(defer_build=True)


class Problem(Schema):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str | None
    code: str
    errors: list[dict[str, Any]] | None = None


class TokensOut(Schema):
    access_token: str
    refresh_token: str
    token_type: str = "bearer"  # noqa: S105
    expires_in: int = Field(description="Seconds until the access token expires.")


class TicketOut(Schema):
    ticket: str
    expires_in: int


class MeOut(Schema):
    id: UUID
    username: str
    role: str


class ErrorOut(Schema):
    code: str
    detail: str

    @classmethod
    def of(cls, failure: Failure | None) -> ErrorOut | None:
        return cls(code=failure.code, detail=failure.detail) if failure else None


class HistoryOut(Schema):
    version: int
    from_: DocumentStatus = Field(serialization_alias="from")
    to: DocumentStatus
    at: datetime
    attempt: int
    reason: str | None

    @classmethod
    def of(cls, entry: HistoryEntry) -> HistoryOut:
        return cls(
            version=entry.version,
            from_=entry.previous,
            to=entry.status,
            at=entry.at,
            attempt=entry.attempt,
            reason=entry.reason,
        )


class ListedDocument(Schema):
    """A document in a list."""

    id: UUID
    filename: str
    folder: str
    content_type: str
    size: int
    sha256: str
    pages: int | None
    status: DocumentStatus
    version: int
    run: int
    attempt: int
    created_at: datetime
    updated_at: datetime
    error: ErrorOut | None
    analyzer: AnalyzerInfo | None
    coverage: Coverage | None
    usage: Usage | None

    @classmethod
    def of(cls, document: Document) -> ListedDocument:
        return cls(**_facts(document))


class StatedDocument(ListedDocument):
    """A document with what its file states."""

    title: str | None
    author: str | None
    authored_at: datetime | None = Field(description="When the file says that it was made.")
    words: int | None

    @classmethod
    def stated(cls, document: Document) -> dict[str, Any]:
        return _facts(document) | {name: getattr(document, name) for name in _STATED}


class DocumentOut(StatedDocument):
    """A document with its analysis and its whole history."""

    analysis: Analysis | None
    classification: Labelling | None = Field(description="Which of the caller's own labels fits, once asked for.")
    stages: dict[str, StageResult] = Field(description="What added stages have found, by their names.")
    history: list[HistoryOut]
    text: str | None = Field(None, description="The extracted text, with `?include=text`.")
    result: Analysis | None = Field(description="The analysis by its older name.", deprecated=True)

    @classmethod
    def with_history(cls, document: Document, history: list[HistoryEntry], *, text: str | None) -> DocumentOut:
        analysis = document.report.analysis if document.report else None
        return cls(
            **cls.stated(document),
            analysis=analysis,
            classification=document.report.classification if document.report else None,
            stages=document.report.stages if document.report else {},
            result=analysis,
            history=[HistoryOut.of(entry) for entry in history],
            text=text,
        )


class PageOut(Schema):
    """One page of a list. `feed_cursor` is the place in the stream from which on this page may change."""

    items: list[ListedDocument]
    next_cursor: str | None
    feed_cursor: str


class StatusOut(Schema):
    id: UUID
    status: DocumentStatus
    version: int
    run: int
    attempt: int
    queued: bool
    in_progress: bool
    terminal: bool
    due_at: datetime | None
    error: ErrorOut | None

    @classmethod
    def of(cls, document: Document) -> StatusOut:
        return cls(
            id=document.id,
            status=document.status,
            version=document.version,
            run=document.run,
            attempt=document.attempt,
            queued=document.status is DocumentStatus.PENDING,
            in_progress=document.working,
            terminal=document.terminal,
            due_at=document.due_at,
            error=ErrorOut.of(document.failure),
        )


class UserOut(Schema):
    id: UUID
    username: str
    role: Role
    disabled: bool
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> UserOut:
        return cls(id=user.id, username=user.name, role=user.role, disabled=user.disabled, created_at=user.created_at)


class UsersOut(Schema):
    items: list[UserOut]
    next_cursor: str | None


class UploadItem(Schema):
    id: UUID
    filename: str
    status: DocumentStatus
    size: int


class UploadError(Schema):
    filename: str | None
    code: str
    detail: str


class UploadOut(Schema):
    """What became of each file. `id` and `status` are there when the request carried exactly one file."""

    items: list[UploadItem]
    errors: list[UploadError]
    id: UUID | None = None
    status: DocumentStatus | None = None


class VersionOut(Schema):
    version: str


class HealthOut(Schema):
    status: str


_RECEIPTS = ("analyzer", "coverage", "usage")
_STATED = ("title", "author", "authored_at", "words")


def _facts(document: Document) -> dict[str, Any]:
    names = ListedDocument.model_fields.keys() - {"error", *_RECEIPTS}
    receipts = {name: getattr(document.report, name, None) for name in _RECEIPTS}
    return {name: getattr(document, name) for name in names} | receipts | {"error": ErrorOut.of(document.failure)}
