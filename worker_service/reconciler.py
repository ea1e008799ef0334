"""The due sweep: finds every document that somebody should have looked at by now, and does what is due.

Runs all the time in every worker. Each effect is a conditional write, so any number of sweepers is harmless.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from shared import log
from shared.clock import Clock, NewId
from shared.document import CLOCK_SKEW, SEND_GRACE, Change, Document, DocumentStatus, Failure, advance
from shared.errors import AttemptsExhaustedError, BackendUnavailableError, MoveError
from shared.moves import commit, dispatch
from shared.ports import BlobStore, DocumentStore, JobQueue, Retention
from worker_service.disposition import failure_of

_log = log.get(__name__)

_BATCH = 50
_TRIM_EVERY = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciler:
    documents: DocumentStore
    blobs: BlobStore
    queue: JobQueue
    retention: Retention
    max_attempts: int
    clock: Clock
    new_id: NewId

    async def run(self, stopping: asyncio.Event, *, every_seconds: float) -> None:
        """Sweep until `stopping` is set, and trim now and every hour."""
        trim_at = self.clock()
        while not stopping.is_set():
            try:
                await self.clear(stopping)
                if self.clock() >= trim_at:
                    await self.trim(stopping)
                    trim_at = self.clock() + _TRIM_EVERY
            except BackendUnavailableError as exc:
                _log.warning("sweep.failed", cause=str(exc))
            # Workers that start together shall not sweep together.
            pause = every_seconds * random.uniform(0.8, 1.2)  # noqa: S311
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), timeout=pause)

    async def clear(self, stopping: asyncio.Event) -> None:
        """Sweep until nothing more is due, or `stopping` is set."""
        while await self.sweep(stopping) == _BATCH and not stopping.is_set():
            continue

    async def sweep(self, stopping: asyncio.Event) -> int:
        """Do what is due now, until `stopping` is set; returns how many documents were due and are no longer."""
        due = await self.documents.due(now=self.clock(), limit=_BATCH)
        stuck = 0
        for document in due:
            if stopping.is_set():
                break
            try:
                await self._settle(document)
            except MoveError:
                _log.info("sweep.overtaken", document_id=str(document.id))
            except BackendUnavailableError as exc:
                _log.warning("sweep.put_off", document_id=str(document.id), cause=str(exc))
                await self._put_off(document)
            except Exception as exc:  # noqa: BLE001 - a bug, or a row that no store takes: of this document alone
                _log.exception("sweep.failed_document", document_id=str(document.id), cause=type(exc).__name__)
                stuck += not await self._put_off(document)
        return len(due) - stuck

    async def _put_off(self, document: Document) -> bool:
        """Later, so that one that cannot be helped does not stand in the way of the others. False if not even that."""
        try:
            await self.documents.postpone(document, due_at=self.clock() + SEND_GRACE)
        except BackendUnavailableError:
            # The store's trouble, and no document's: this sweep has ended.
            raise
        except Exception as exc:  # noqa: BLE001 - the row itself is what the store does not take
            _log.exception("sweep.failed_document", document_id=str(document.id), cause=type(exc).__name__)
            return False
        return True

    async def trim(self, stopping: asyncio.Event) -> None:
        """Take away what is kept no longer, unless `stopping` is set."""
        while not stopping.is_set() and (count := await self.retention.trim(now=self.clock())):
            _log.info("feed.trimmed", events=count)

    async def _settle(self, document: Document) -> None:
        match document.status:
            case DocumentStatus.UPLOADING:
                await self._abandon(document)
            case DocumentStatus.DELETING if document.entombed:
                await self._bury(document)
            case DocumentStatus.DELETING:
                await self._erase(document)
            case _ if document.attempt >= self.max_attempts:
                await self._give_up(document)
            case _:
                await self._resend(document)

    async def _abandon(self, document: Document) -> None:
        """Take an upload that nobody was promised out of its uploader's hands; then it is erased like any other."""
        taken = await commit(self.documents, self._move(document, DocumentStatus.DELETING, reason="abandoned"))
        await self._erase(taken)

    async def _bury(self, document: Document) -> None:
        """Remove an old tombstone, and whatever a killed worker has left under it."""
        await self.blobs.delete_prefix(document.prefix)
        await self.documents.discard(document)

    async def _erase(self, document: Document) -> None:
        await self.blobs.delete_prefix(document.prefix)
        await self.documents.entomb(document, now=self.clock())
        _log.info("document.erased", document_id=str(document.id))

    async def _give_up(self, document: Document) -> None:
        if document.lease is not None and document.lease_is_live(self.clock()):
            # By this clock it has ended, by its holder's perhaps not.
            await self.documents.postpone(document, due_at=document.lease.until + CLOCK_SKEW)
            return
        failure = failure_of(AttemptsExhaustedError())
        await commit(self.documents, self._move(document, DocumentStatus.FAILED, reason=failure.code, failure=failure))

    def _move(self, document: Document, to: DocumentStatus, *, reason: str, failure: Failure | None = None) -> Change:
        return advance(document, to, at=self.clock(), write_id=self.new_id(), reason=reason, failure=failure)

    async def _resend(self, document: Document) -> None:
        counted = await self.documents.count_send(document, due_at=self.clock() + SEND_GRACE)
        if counted is not None:
            await dispatch(counted, queue=self.queue, documents=self.documents, clock=self.clock)
            _log.info("document.resent", document_id=str(document.id), send=counted.send)
