"""Paid calls for documents that a test has claimed, on a real ledger."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.document import Document, DocumentStatus
from tests.support.builders import lease, move, moves, new_document
from worker_service.calls import CallLimits, Calls
from worker_service.in_flight import InFlight

S = DocumentStatus


async def analyzing(backends: Backends, *, owner: UUID | None = None, force: bool = False) -> Document:
    """A document that a worker has just begun to analyze."""
    now = utc_now()
    document = new_document(owner=owner, at=now)
    await backends.documents.insert(document)
    changes = moves(document, S.UPLOADED, at=now)
    changes.append(move(changes[-1].after, S.PENDING, at=now, force=force))
    changes.append(move(changes[-1].after, S.PROCESSING, at=now, lease=lease(at=now)))
    changes.append(move(changes[-1].after, S.ANALYZING, at=now))
    await backends.documents.apply(*changes)
    return changes[-1].after


async def claimed_again(backends: Backends, document: Document) -> Document:
    """The document in the hands of its next worker, after the one before was lost."""
    now = utc_now()
    claim = move(document, S.PROCESSING, at=now, lease=lease("worker-b", at=now))
    analyzes = move(claim.after, S.ANALYZING, at=now)
    await backends.documents.apply(claim, analyzes)
    return analyzes.after


def calls_of(backends: Backends, document: Document, *, attempts: int = 2, **limits: Any) -> Calls:
    return Calls(
        document=document,
        ledger=backends.ledger,
        limits=CallLimits(attempts=attempts, **limits),
        in_flight=InFlight(),
        clock=utc_now,
        new_id=uuid7,
    )


async def next_run(backends: Backends, document: Document, *, force: bool = False) -> Document:
    """The document, completed and being analyzed once more."""
    now = utc_now()
    changes = moves(document, S.COMPLETED, at=now)
    changes.append(move(changes[-1].after, S.PENDING, at=now, force=force))
    changes.append(move(changes[-1].after, S.PROCESSING, at=now, lease=lease(at=now)))
    changes.append(move(changes[-1].after, S.ANALYZING, at=now))
    await backends.documents.apply(*changes)
    return changes[-1].after
