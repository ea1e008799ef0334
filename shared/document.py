"""A document, its legal moves, and the one verb that makes a move: `advance`. Pure; knows no store, queue or clock.

The protocol is described in docs/delivery.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypedDict, Unpack
from uuid import UUID

from shared.analysis import Report, RunOptions
from shared.errors import IllegalMoveError


class DocumentStatus(StrEnum):
    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    PENDING = "pending"
    PROCESSING = "processing"
    ANALYZING = "analyzing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    # Never shown to a client: a deleted document answers 404.
    DELETING = "deleting"


S = DocumentStatus
WORKING = frozenset({S.PROCESSING, S.ANALYZING})
TERMINAL = frozenset({S.COMPLETED, S.FAILED, S.CANCELLED})
IDLE = TERMINAL | {S.UPLOADED}

TRANSITIONS: dict[DocumentStatus, frozenset[DocumentStatus]] = {
    S.UPLOADING: frozenset({S.UPLOADED, S.FAILED, S.DELETING}),
    S.UPLOADED: frozenset({S.PENDING, S.FAILED, S.CANCELLED, S.DELETING}),
    S.PENDING: frozenset({S.PROCESSING, S.FAILED, S.CANCELLED, S.DELETING}),
    S.PROCESSING: frozenset({S.ANALYZING, S.PROCESSING, S.PENDING, S.FAILED, S.CANCELLED, S.DELETING}),
    S.ANALYZING: frozenset({S.COMPLETED, S.PROCESSING, S.PENDING, S.FAILED, S.CANCELLED, S.DELETING}),
    S.COMPLETED: frozenset({S.PENDING, S.DELETING}),
    S.FAILED: frozenset({S.PENDING, S.DELETING}),
    S.CANCELLED: frozenset({S.PENDING, S.DELETING}),
    S.DELETING: frozenset(),
}

UPLOAD_GRACE = timedelta(minutes=15)
SEND_GRACE = timedelta(seconds=30)
RESEND_AFTER = timedelta(minutes=5)
RESEND_AFTER_MAX = timedelta(hours=1)
# Longer than SQS keeps any message.
TOMBSTONE_KEPT_FOR = timedelta(days=15)
# What two hosts' clocks may differ by before a live lease looks expired.
CLOCK_SKEW = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a document failed: a public code and a sentence that says what to do."""

    code: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """A worker's claim on a document, by its random instance id."""

    holder: str
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One uploaded file and where it stands.

    `version` counts moves; `run` counts requests to process; `attempt` counts claims of this run; `send` counts
    queue messages of this run; `fence` only rises, and a worker's write carries the fence of its claim.
    `due_at` is when somebody has to look at it; None when idle. `force` asks this run for a new result, not a kept one;
    `options` are what else it was asked for.
    """

    id: UUID
    owner: UUID
    filename: str
    folder: str
    content_type: str
    size: int
    sha256: str
    blob_key: str
    status: DocumentStatus = S.UPLOADING
    version: int = 0
    run: int = 0
    attempt: int = 0
    send: int = 0
    fence: int = 0
    lease: Lease | None = None
    write_id: UUID
    due_at: datetime | None
    pages: int | None = None
    words: int | None = None
    # What the file itself states, which may be anything.
    title: str | None = None
    author: str | None = None
    authored_at: datetime | None = None
    text_key: str | None = None
    report: Report | None = None
    failure: Failure | None = None
    force: bool = False
    options: RunOptions = field(default_factory=RunOptions)
    created_at: datetime
    updated_at: datetime

    @property
    def prefix(self) -> str:
        """Where in the bucket everything of this document lies: ids only, never a user's text."""
        return blob_prefix(self.owner, self.id)

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def working(self) -> bool:
        return self.status in WORKING

    @property
    def first_claimed(self) -> bool:
        """Whether this is its first claim ever: `fence` rose when it became pending and when it was claimed."""
        return self.working and self.fence == 2

    @property
    def entombed(self) -> bool:
        """Whether only the tombstone is left, which keeps late messages from bringing the document back."""
        return self.status is S.DELETING and not self.blob_key

    def lease_is_live(self, now: datetime) -> bool:
        return self.working and self.lease is not None and now < self.lease.until + CLOCK_SKEW


def blob_prefix(owner: UUID, document_id: UUID) -> str:
    return f"o/{owner}/{document_id}/"


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryEntry:
    version: int
    previous: DocumentStatus
    status: DocumentStatus
    at: datetime
    run: int
    attempt: int
    fence: int
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One move, ready to be written on condition that the stored document still is `before`."""

    before: Document
    after: Document
    entry: HistoryEntry


class Facts(TypedDict, total=False):
    """What a move may set beside the status."""

    folder: str
    size: int
    sha256: str
    pages: int | None
    words: int | None
    title: str | None
    author: str | None
    authored_at: datetime | None
    text_key: str | None
    report: Report | None
    failure: Failure | None
    force: bool
    options: RunOptions


def advance(
    document: Document,
    to: DocumentStatus,
    *,
    at: datetime,
    write_id: UUID,
    lease: Lease | None = None,
    reason: str | None = None,
    burn_attempt: bool = True,
    **facts: Unpack[Facts],
) -> Change:
    """Return the change that moves `document` to `to`, with everything that follows from the move.

    A claim (to `processing`) needs `lease`; `analyzing` keeps the one it has or renews it. `burn_attempt=False` gives
    the attempt back: a shutdown or a rate limit is nobody's failure. Raises IllegalMoveError.
    """
    if to not in TRANSITIONS[document.status]:
        raise IllegalMoveError(f"A document that is {document.status} cannot become {to}.")
    if to is S.PROCESSING and lease is None:
        raise IllegalMoveError("A claim needs a lease.")
    held = lease or document.lease if to is S.ANALYZING else lease
    after = replace(
        document,
        status=to,
        version=document.version + 1,
        fence=document.fence + _fence_rise(to),
        lease=held,
        write_id=write_id,
        due_at=_due_at(document, to, at=at, lease=held),
        updated_at=at,
        **_counters(document, to, burn_attempt=burn_attempt),
        **facts,
    )
    return Change(before=document, after=after, entry=_entry(document, after, at=at, reason=reason))


def due_after_send(send: int, *, at: datetime) -> datetime:
    """When a pending document whose `send`-th message was accepted by the queue is looked at again.

    Doubles with each send, so that a deep backlog is not sent over and over.
    """
    doubled: timedelta = RESEND_AFTER * 2 ** min(send - 1, 10)
    return at + min(doubled, RESEND_AFTER_MAX)


def _fence_rise(to: DocumentStatus) -> int:
    # Every move but a holder's own progress takes the document out of somebody's hands.
    return 0 if to in {S.UPLOADED, S.ANALYZING} else 1


class _Counters(TypedDict):
    run: int
    attempt: int
    send: int


def _counters(document: Document, to: DocumentStatus, *, burn_attempt: bool) -> _Counters:
    if to is S.PROCESSING:
        return {"run": document.run, "attempt": document.attempt + 1, "send": document.send}
    if to is S.PENDING and document.working:
        return {"run": document.run, "attempt": document.attempt - (not burn_attempt), "send": document.send}
    if to is S.PENDING:
        return {"run": document.run + 1, "attempt": 0, "send": 1}
    return {"run": document.run, "attempt": document.attempt, "send": document.send}


def _due_at(document: Document, to: DocumentStatus, *, at: datetime, lease: Lease | None) -> datetime | None:
    if to in IDLE:
        return None
    if to is S.DELETING:
        return at
    if to is S.PENDING:
        # A released document keeps its message in the queue: look again only if that one gets lost.
        return due_after_send(document.send, at=at) if document.working else at + SEND_GRACE
    assert lease is not None, "a working document is leased"
    return lease.until


def _entry(before: Document, after: Document, *, at: datetime, reason: str | None) -> HistoryEntry:
    return HistoryEntry(
        version=after.version,
        previous=before.status,
        status=after.status,
        at=at,
        run=after.run,
        attempt=after.attempt,
        fence=after.fence,
        reason=reason,
    )
