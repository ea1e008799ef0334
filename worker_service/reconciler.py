"""The due sweep: finds every document that somebody should have looked at by now, and does what is due.

Runs all the time in every worker. Each effect is a conditional write, so any number of sweepers is harmless.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass

from shared import log
from shared.clock import Clock, NewId
from shared.document import SEND_GRACE, Document, DocumentStatus, advance
from shared.errors import AttemptsExhaustedError, BackendUnavailableError, MoveRefusedError
from shared.moves import commit, dispatch
from shared.ports import BlobStore, DocumentStore, JobQueue
from worker_service.disposition import failure_of

_log = log.get(__name__)

_BATCH = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciler:
    documents: DocumentStore
    blobs: BlobStore
    queue: JobQueue
    max_attempts: int
    clock: Clock
    new_id: NewId

    async def run(self, stopping: asyncio.Event, *, every_seconds: float) -> None:
        """Sweep until `stopping` is set."""
        while not stopping.is_set():
            try:
                await self.sweep()
            except BackendUnavailableError as exc:
                _log.warning("sweep.failed", cause=str(exc))
            # Workers that start together shall not sweep together.
            pause = every_seconds * random.uniform(0.8, 1.2)  # noqa: S311
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), timeout=pause)

    async def sweep(self) -> int:
        """Do what is due now; returns how many documents were looked at."""
        due = await self.documents.due(now=self.clock(), limit=_BATCH)
        for document in due:
            with suppress(MoveRefusedError):
                await self._settle(document)
        return len(due)

    async def _settle(self, document: Document) -> None:
        match document.status:
            case DocumentStatus.UPLOADING:
                await self._remove(document)
            case DocumentStatus.DELETING if document.entombed:
                await self._remove(document)
            case DocumentStatus.DELETING:
                await self._erase(document)
            case _ if document.attempt >= self.max_attempts:
                await self._give_up(document)
            case _:
                await self._resend(document)

    async def _remove(self, document: Document) -> None:
        """Remove an upload that nobody was promised, or an old tombstone and whatever a killed worker left under it."""
        await self.blobs.delete_prefix(document.prefix)
        await self.documents.discard(document)
        _log.info("document.removed", document_id=str(document.id), status=document.status)

    async def _erase(self, document: Document) -> None:
        await self.blobs.delete_prefix(document.prefix)
        await self.documents.entomb(document, now=self.clock())
        _log.info("document.erased", document_id=str(document.id))

    async def _give_up(self, document: Document) -> None:
        failure = failure_of(AttemptsExhaustedError())
        change = advance(
            document,
            DocumentStatus.FAILED,
            at=self.clock(),
            write_id=self.new_id(),
            failure=failure,
            reason=failure.code,
        )
        await commit(self.documents, change)

    async def _resend(self, document: Document) -> None:
        counted = await self.documents.count_send(document, due_at=self.clock() + SEND_GRACE)
        if counted is not None:
            await dispatch(counted, queue=self.queue, documents=self.documents, clock=self.clock)
            _log.info("document.resent", document_id=str(document.id), send=counted.send)
