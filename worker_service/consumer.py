"""From a queue message to its disposition, and the polling loop around it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from shared import log
from shared.clock import Clock
from shared.document import Document, DocumentStatus
from shared.errors import (
    BackendUnavailableError,
    DocrelayError,
    DocumentError,
    InterruptedByStopError,
    LeaseLostError,
    MoveError,
)
from shared.messages import ProcessMessage
from shared.ports import Delivery, DocumentStore, JobQueue
from worker_service.disposition import Ack, Disposition, Fail, Retry, decide, judge
from worker_service.pipeline import Pipeline

_log = log.get(__name__)

# SQS hides a message for at most 12 hours.
_MAX_VISIBILITY_SECONDS = 43_200
_RECEIVE_BACKOFF_SECONDS = 1.0
# Somebody else has the document now: its row says what is left to do, at the next delivery.
_MOVED = Retry(after_seconds=1, reason="moved", burn_attempt=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Handler:
    """Turns one delivery into a disposition that the store already knows of."""

    pipeline: Pipeline
    documents: DocumentStore
    queue: JobQueue
    max_attempts: int
    clock: Clock

    async def handle(self, delivery: Delivery, *, deadline: datetime, stop: asyncio.Event) -> Disposition:
        """Process one message; `stop` interrupts the work and gives it back."""
        message = _parse(delivery)
        if message is None:
            # Not ours to delete: give it back until the queue moves it to the dead letters.
            return Retry(after_seconds=0, reason="unknown message")
        with log.bound(document_id=str(message.document_id), trace_id=log.trace_id_of(message.traceparent)):
            held: Document | None = None
            try:
                document = await self.documents.get(message.document_id)
                verdict = judge(document, message, now=self.clock(), max_attempts=self.max_attempts)
                if isinstance(verdict, Fail):
                    held = document
                elif verdict is None and document is not None:
                    held = await self.pipeline.claim(document)
                    await self._run_leased(held, delivery, deadline=deadline, stop=stop)
            except Exception as exc:  # noqa: BLE001 - the one place where a failure becomes a disposition
                verdict = decide(exc, attempt=held.attempt if held else 0, max_attempts=self.max_attempts)
                _log_failure(exc)
            return await self._record(verdict or Ack(), held)

    async def _run_leased(
        self, document: Document, delivery: Delivery, *, deadline: datetime, stop: asyncio.Event
    ) -> None:
        """Run the pipeline under a heartbeat. Raises LeaseLostError or InterruptedByStopError beside its errors."""
        job = asyncio.create_task(self.pipeline.run(document, deadline=deadline))
        heartbeat = asyncio.create_task(self._heartbeat(document, delivery))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({job, heartbeat, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if job.done():
                job.result()
            elif heartbeat.done():
                raise LeaseLostError
            else:
                raise InterruptedByStopError
        finally:
            await _end(job, heartbeat, stopped)

    async def _heartbeat(self, document: Document, delivery: Delivery) -> None:
        """Extend lease and message every third of the lease; return when the lease is lost."""
        lease_seconds = self.pipeline.lease_seconds
        while True:
            await asyncio.sleep(lease_seconds / 3)
            until = self.clock() + timedelta(seconds=lease_seconds)
            try:
                if not await self.documents.extend_lease(document.id, fence=document.fence, until=until):
                    return
                await self.queue.extend(delivery.receipt, visibility_seconds=round(lease_seconds))
            except BackendUnavailableError:
                # The lease outlives two lost beats, and the fence decides in the end.
                _log.warning("lease.heartbeat_lost")

    async def _record(self, verdict: Disposition, held: Document | None) -> Disposition:
        """Write what the verdict means for a document, if it still is under the fence that it was held by."""
        if held is None or isinstance(verdict, Ack):
            return verdict
        try:
            stored = await self.documents.get(held.id)
            if stored is None or stored.fence != held.fence:
                return _MOVED
            if isinstance(verdict, Fail):
                failure = verdict.failure
                await self.pipeline.move(stored, DocumentStatus.FAILED, failure=failure, reason=failure.code)
            else:
                await self.pipeline.move(
                    stored, DocumentStatus.PENDING, reason=verdict.reason, burn_attempt=verdict.burn_attempt
                )
        except (MoveError, BackendUnavailableError):
            # Its row is due when the lease ends, and the message comes back: nothing is lost by leaving it.
            return _MOVED
        return verdict


class Consumer:
    """Polls the queue with one loop a slot, and applies each disposition to its message.

    A slot takes one message at a time and holds none back: two messages of one FIFO group in one answer
    would otherwise run at the same time.
    """

    def __init__(
        self,
        *,
        handler: Handler,
        queue: JobQueue,
        slots: int,
        wait_seconds: int,
        visibility_seconds: int,
        job_seconds: float,
        clock: Clock,
    ) -> None:
        self._handler = handler
        self._queue = queue
        self._slots = slots
        self._wait_seconds = wait_seconds
        self._visibility_seconds = visibility_seconds
        self._job_seconds = job_seconds
        self._clock = clock
        self._give_back = asyncio.Event()

    async def run(self, stopping: asyncio.Event, *, grace_seconds: float) -> None:
        """Consume until `stopping` is set; then finish what runs, or give it back after `grace_seconds`."""
        async with asyncio.TaskGroup() as tasks:
            patience = tasks.create_task(self._lose_patience(stopping, grace_seconds))
            slots = [tasks.create_task(self._consume(stopping)) for _ in range(self._slots)]
            await asyncio.wait(slots)
            patience.cancel()

    async def _consume(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            # A poll is never abandoned: SQS would deliver into it, and the message would be hidden for nothing.
            for delivery in await self._receive():
                if stopping.is_set():
                    await self._apply(Retry(after_seconds=0, reason="stopped"), delivery)
                else:
                    await self._work(delivery)

    async def _receive(self) -> list[Delivery]:
        try:
            return await self._queue.receive(
                limit=1, wait_seconds=self._wait_seconds, visibility_seconds=self._visibility_seconds
            )
        except BackendUnavailableError as exc:
            _log.warning("queue.receive_failed", cause=str(exc))
            await asyncio.sleep(_RECEIVE_BACKOFF_SECONDS)
            return []

    async def _work(self, delivery: Delivery) -> None:
        deadline = self._clock() + timedelta(seconds=self._job_seconds)
        verdict = await self._handler.handle(delivery, deadline=deadline, stop=self._give_back)
        await self._apply(verdict, delivery)

    async def _apply(self, verdict: Disposition, delivery: Delivery) -> None:
        try:
            if isinstance(verdict, Retry):
                seconds = min(max(math.ceil(verdict.after_seconds), 0), _MAX_VISIBILITY_SECONDS)
                await self._queue.extend(delivery.receipt, visibility_seconds=seconds)
            else:
                await self._queue.delete(delivery.receipt)
        except BackendUnavailableError as exc:
            # The message comes again after its visibility time-out and finds its work done.
            _log.warning("queue.settle_failed", cause=str(exc))

    async def _lose_patience(self, stopping: asyncio.Event, grace_seconds: float) -> None:
        await stopping.wait()
        await asyncio.sleep(grace_seconds)
        self._give_back.set()


def _parse(delivery: Delivery) -> ProcessMessage | None:
    try:
        return ProcessMessage.model_validate_json(delivery.body)
    except ValidationError:
        _log.error("message.unknown", receive_count=delivery.receive_count)
        return None


def _log_failure(error: Exception) -> None:
    if isinstance(error, DocumentError):
        _log.info("document.attempt_failed", cause=error.code)
    elif isinstance(error, DocrelayError):
        _log.warning("document.attempt_failed", cause=type(error).__name__, detail=str(error))
    else:
        _log.exception("document.attempt_failed", cause=type(error).__name__)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
