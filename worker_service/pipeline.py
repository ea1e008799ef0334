"""One document's way: claim, read, extract, analyze, complete. Knows no queue."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, Unpack

from shared.clock import Clock, NewId
from shared.document import Document, DocumentStatus, Facts, Lease, advance
from shared.errors import HashMismatchError, MoveRefusedError
from shared.moves import commit
from shared.ports import BlobStore, CallLedger, DocumentStore
from worker_service.analyzers import Analyzer
from worker_service.breaker import Breakers
from worker_service.calls import CallLimits, Calls
from worker_service.extractors import Extraction
from worker_service.in_flight import InFlight


class Extractor(Protocol):
    async def extract(self, data: bytes, content_type: str) -> Extraction:
        """Raises ExtractionError with a named cause."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    documents: DocumentStore
    blobs: BlobStore
    extractor: Extractor
    analyzer: Analyzer
    ledger: CallLedger
    call_limits: CallLimits
    in_flight: InFlight
    breakers: Breakers
    holder: str
    lease_seconds: float
    analysis_seconds: float
    clock: Clock
    new_id: NewId

    async def claim(self, document: Document) -> Document:
        """Take the document under a new fence. Raises MoveRefusedError when somebody was faster."""
        return await self.move(document, DocumentStatus.PROCESSING, lease=self._lease())

    async def run(self, document: Document, *, deadline: datetime) -> Document:
        """Bring a claimed document to completion; every write is refused once the claim is lost.

        Raises DocumentError with the cause, MoveError when the claim is gone, BackendUnavailableError.
        """
        data = await self._read(document)
        extraction = await self.extractor.extract(data, document.content_type)
        document = await self._keep_text(document, extraction)
        left_seconds = (deadline - self.clock()).total_seconds()
        report = await self.analyzer.analyze(
            extraction, calls=self._calls(document), timeout_seconds=min(self.analysis_seconds, left_seconds)
        )
        return await self.move(document, DocumentStatus.COMPLETED, report=report)

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
        data = await self.blobs.get(document.blob_key)
        if hashlib.sha256(data).hexdigest() != document.sha256:
            raise HashMismatchError
        return data

    async def _keep_text(self, document: Document, extraction: Extraction) -> Document:
        # The fence is in the key, so that each claim writes, and on refusal removes, an object of its own.
        key = f"{document.prefix}text-{document.run}-{document.fence}.txt"
        await self.blobs.put(key, extraction.text.encode(), content_type="text/plain; charset=utf-8")
        try:
            # The heartbeat has moved the lease on meanwhile: renew it rather than write the old one back.
            return await self.move(
                document,
                DocumentStatus.ANALYZING,
                lease=self._lease(),
                pages=extraction.pages,
                words=extraction.words,
                title=extraction.title,
                author=extraction.author,
                authored_at=extraction.created,
                text_key=key,
            )
        except MoveRefusedError:
            await self.blobs.delete_prefix(key)
            raise

    def _calls(self, document: Document) -> Calls:
        return Calls(
            document=document,
            ledger=self.ledger,
            limits=self.call_limits,
            in_flight=self.in_flight,
            breakers=self.breakers,
            clock=self.clock,
            new_id=self.new_id,
        )

    def _lease(self) -> Lease:
        return Lease(holder=self.holder, until=self.clock() + timedelta(seconds=self.lease_seconds))
