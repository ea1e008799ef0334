"""One document's way: claim, read, through the stages, complete. Knows no queue, and not what a stage does."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Unpack

from shared.clock import Clock, NewId
from shared.document import Document, DocumentStatus, Facts, Lease, advance
from shared.errors import (
    BackendUnavailableError,
    BucketAwayError,
    HashMismatchError,
    MoveRefusedError,
    StageFailedError,
)
from shared.moves import commit
from shared.ports import BlobStore, CallLedger, DocumentStore
from shared.profiles import Profiles
from worker_service.breaker import Breakers
from worker_service.calls import CallLimits, Calls
from worker_service.in_flight import InFlight
from worker_service.stages import Phase, Stage, Work

_BUCKET_AWAY_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    documents: DocumentStore
    blobs: BlobStore
    stages: tuple[Stage, ...]
    profiles: Profiles
    ledger: CallLedger
    call_limits: CallLimits
    in_flight: InFlight
    breakers: Breakers
    holder: str
    lease_seconds: float
    clock: Clock
    new_id: NewId

    async def claim(self, document: Document) -> Document:
        """Take the document under a new fence. Raises MoveRefusedError when somebody was faster."""
        return await self.move(document, DocumentStatus.PROCESSING, lease=self._lease())

    async def run(self, document: Document, *, deadline: datetime) -> Document:
        """Bring a claimed document to completion; every write is refused once the claim is lost.

        Raises DocumentError with the cause, MoveError when the claim is gone, BackendUnavailableError, NotNowError.
        """
        choice = self.profiles.choose(document.options.profile, document.id)
        work = Work(document=document, data=await self._read(document), choice=choice, report=document.report)
        work = replace(work, results=work.report.stages if work.report else {})
        work = await self._through("processing", work, deadline=deadline)
        work = await self._keep_text(work)
        work = await self._through("analyzing", work, deadline=deadline)
        return await self.move(work.document, DocumentStatus.COMPLETED, report=await work.reported())

    async def _through(self, phase: Phase, work: Work, *, deadline: datetime) -> Work:
        for stage in self.stages:
            if stage.phase == phase and not _known(stage, work):
                left_seconds = (deadline - self.clock()).total_seconds()
                work = await stage.run(work, seconds=min(stage.seconds, left_seconds))
        return work

    async def move(
        self,
        document: Document,
        to: DocumentStatus,
        *,
        lease: Lease | None = None,
        reason: str | None = None,
        burn_attempt: bool = True,
        **facts: Unpack[Facts],
    ) -> Document:
        change = advance(
            document,
            to,
            at=self.clock(),
            write_id=self.new_id(),
            lease=lease,
            reason=reason,
            burn_attempt=burn_attempt,
            **facts,
        )
        return await commit(self.documents, change)

    async def _read(self, document: Document) -> bytes:
        async with self._bucket():
            data = await self.blobs.get(document.blob_key)
        if hashlib.sha256(data).hexdigest() != document.sha256:
            raise HashMismatchError
        return data

    async def _keep_text(self, work: Work) -> Work:
        """Store the text, and move on. Raises NoTextError when no stage has found any."""
        if work.unread:
            raise work.unread
        if work.extraction is None:
            raise StageFailedError("No stage has extracted the document.")
        document = work.document
        # The fence is in the key, so that each claim writes, and on refusal removes, an object of its own.
        key = f"{document.prefix}text-{document.run}-{document.fence}.txt"
        async with self._bucket():
            await self.blobs.put(key, work.text.encode(), content_type="text/plain; charset=utf-8")
        try:
            document = await self.move(
                document,
                DocumentStatus.ANALYZING,
                lease=self._renewed(document),
                pages=work.extraction.pages,
                words=work.extraction.words,
                title=work.extraction.title,
                author=work.extraction.author,
                authored_at=work.extraction.created,
                text_key=key,
            )
        except MoveRefusedError:
            await self.blobs.delete_prefix(key)
            raise
        return replace(work, document=document, paid_calls=self._calls(document, work))

    @asynccontextmanager
    async def _bucket(self) -> AsyncIterator[None]:
        """Raises BucketAwayError when all objects are out of reach, and not this one: no document pays for that."""
        try:
            yield
        except BackendUnavailableError:
            try:
                await self.blobs.ping()
            except BackendUnavailableError as away:
                raise BucketAwayError(str(away), retry_after_seconds=_BUCKET_AWAY_SECONDS) from away
            raise

    def _calls(self, document: Document, work: Work) -> Calls:
        return Calls(
            document=document,
            ledger=self.ledger,
            limits=self.call_limits,
            in_flight=self.in_flight,
            breakers=self.breakers,
            clock=self.clock,
            new_id=self.new_id,
            profile=work.choice.label,
            fingerprint=work.fingerprint,
        )

    def _renewed(self, document: Document) -> Lease | None:
        """None to keep the lease of a claim that had no heartbeat yet: another place in the due index is a write.

        Later it is renewed rather than written back as it was. A beat at this very moment would be taken back, and two
        thirds of the lease be left.
        """
        first_beat = document.updated_at + timedelta(seconds=self.lease_seconds / 3)
        return self._lease() if self.clock() >= first_beat else None

    def _lease(self) -> Lease:
        return Lease(holder=self.holder, until=self.clock() + timedelta(seconds=self.lease_seconds))


def _known(stage: Stage, work: Work) -> bool:
    """Whether an earlier run has left what the stage would find: then this run was asked for something else."""
    if stage.phase == "processing" or stage.name == "classify":
        # Labels differ from run to run, also for a stage that takes our own's place.
        return False
    return stage.name in work.results or (stage.name == "analyze" and work.report is not None)
