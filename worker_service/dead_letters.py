"""The dead-letter queue's consumer: a message that the queue gave up on fails its document, with that as the cause.

A net under the net: attempts are counted in the store, and the due sweep sends again what got lost.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from shared import log
from shared.clock import Clock, NewId
from shared.document import Document, DocumentStatus, advance
from shared.errors import BackendUnavailableError, DeadLetteredError, MoveError
from shared.messages import ProcessMessage
from shared.moves import commit
from shared.ports import Delivery, DocumentStore, MessageSource
from worker_service.deliveries import read, settle
from worker_service.disposition import Ack, Disposition, Fail, Retry, failure_of, judge

_log = log.get(__name__)

_BATCH = 10
_VISIBILITY_SECONDS = 30
# What no version of ours wrote is for a person to look at: it stays, and is looked at rarely.
_UNKNOWN = Retry(after_seconds=3_600, reason="unknown message")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetters:
    queue: MessageSource
    documents: DocumentStore
    max_attempts: int
    clock: Clock
    new_id: NewId

    async def run(self, stopping: asyncio.Event, *, every_seconds: float) -> None:
        """Look for dead letters until `stopping` is set."""
        while not stopping.is_set():
            try:
                while await self.drain() == _BATCH and not stopping.is_set():
                    continue
            except BackendUnavailableError as exc:
                _log.warning("dead_letters.failed", cause=str(exc))
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), timeout=every_seconds)

    async def drain(self) -> int:
        """Settle what is there now; returns how many messages there were."""
        found = await self.queue.receive(limit=_BATCH, wait_seconds=0, visibility_seconds=_VISIBILITY_SECONDS)
        for delivery in found:
            await settle(delivery, await self.handle(delivery), queue=self.queue)
        return len(found)

    async def handle(self, delivery: Delivery) -> Disposition:
        """Fail the document of one dead letter, unless it has moved on. Raises BackendUnavailableError."""
        message = read(delivery)
        if message is None:
            return _UNKNOWN
        with log.bound(document_id=str(message.document_id), trace_id=log.trace_id_of(message.traceparent)):
            try:
                document = await self.documents.get(message.document_id)
            except ValueError:
                # Its row is due: whoever can read it sends another message.
                _log.error("document.unreadable")
                return Ack()
            verdict = self._judge(document, message)
            if document is None or not isinstance(verdict, Fail):
                return verdict
            try:
                return await self._fail(document, verdict)
            except MoveError:
                return Retry(after_seconds=1, reason="moved")

    def _judge(self, document: Document | None, message: ProcessMessage) -> Disposition:
        if document is not None and document.send > message.send:
            # The sweep has sent another one since, which is none of the dead.
            return Ack()
        verdict = judge(document, message, now=self.clock(), max_attempts=self.max_attempts)
        return verdict or Fail(failure=failure_of(DeadLetteredError()))

    async def _fail(self, document: Document, verdict: Fail) -> Disposition:
        failure = verdict.failure
        change = advance(
            document,
            DocumentStatus.FAILED,
            at=self.clock(),
            write_id=self.new_id(),
            reason=failure.code,
            failure=failure,
        )
        await commit(self.documents, change)
        _log.error("document.dead_lettered", document_id=str(document.id))
        return verdict
