"""From a queue message to its disposition, and the polling loop around it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared import log
from shared.clock import Clock
from shared.document import Document, DocumentStatus, due_after_send
from shared.errors import (
    BackendUnavailableError,
    DocrelayError,
    DocumentError,
    InterruptedByStopError,
    LeaseLostError,
    MoveError,
    OverdueError,
)
from shared.ports import Delivery, DocumentStore, MessageSource
from worker_service.deliveries import in_groups, owner_of, read, settle
from worker_service.disposition import (
    MANY_RECEIVES,
    Ack,
    Disposition,
    Fail,
    Retry,
    decide,
    judge,
    not_begun,
    untouched,
)
from worker_service.pipeline import Pipeline

_log = log.get(__name__)

_RECEIVE_BACKOFF_SECONDS = 1.0
# The parts of an attempt have time-outs of their own, which end by the deadline.
_OVERDUE_AFTER = timedelta(seconds=10)
# Somebody else has the document now: its row says what is left to do, at the next delivery.
_MOVED = Retry(after_seconds=1, reason="moved", burn_attempt=False)
# Not ours to delete: it is given back until the queue moves it to the dead letters.
_UNKNOWN = Retry(after_seconds=0, reason="unknown message")


@dataclass(frozen=True, kw_only=True, slots=True)
class Handler:
    """Turns one delivery into a disposition that the store already knows of."""

    pipeline: Pipeline
    documents: DocumentStore
    queue: MessageSource
    max_attempts: int
    clock: Clock

    async def handle(self, delivery: Delivery, *, deadline: datetime, stop: asyncio.Event) -> Disposition:
        """Process one message; `stop` interrupts the work and gives it back."""
        message = read(delivery)
        if message is None:
            return _UNKNOWN
        with log.bound(document_id=str(message.document_id), trace_id=log.trace_id_of(message.traceparent)):
            held: Document | None = None
            try:
                document = await self.documents.get(message.document_id, owner=owner_of(delivery))
                verdict = judge(document, message, now=self.clock(), max_attempts=self.max_attempts)
                if isinstance(verdict, Fail):
                    held = document
                elif verdict is None and document is not None:
                    held = await self.pipeline.claim(document)
                    await self._run_leased(held, delivery, deadline=deadline, stop=stop)
            except Exception as exc:  # noqa: BLE001 - the one place where a failure becomes a disposition
                verdict = (
                    decide(exc, attempt=held.attempt, max_attempts=self.max_attempts)
                    if held
                    else not_begun(exc, receives=delivery.receive_count)
                )
                _log_failure(exc)
            recorded = await self._record(verdict or Ack(), held)
            if isinstance(recorded, Retry) and delivery.receive_count >= MANY_RECEIVES:
                return await self._leave_to_the_sweep(message.document_id, recorded)
            return recorded

    def give_back(self, delivery: Delivery) -> Disposition:
        """Say what becomes of a message that nobody begins with: a stop, or one that comes back, is in front of it."""
        return _UNKNOWN if read(delivery) is None else untouched(receives=delivery.receive_count)

    async def _run_leased(
        self, document: Document, delivery: Delivery, *, deadline: datetime, stop: asyncio.Event
    ) -> None:
        """Run the pipeline under a heartbeat.

        Raises LeaseLostError, InterruptedByStopError or OverdueError beside its errors: a heartbeat must not hold a
        document for work that never ends.
        """
        job = asyncio.create_task(self.pipeline.run(document, deadline=deadline))
        heartbeat = asyncio.create_task(self._heartbeat(document, delivery))
        stopped = asyncio.create_task(stop.wait())
        try:
            left = deadline + _OVERDUE_AFTER - self.clock()
            waiting = {job, heartbeat, stopped}
            await asyncio.wait(waiting, timeout=max(0, left.total_seconds()), return_when=asyncio.FIRST_COMPLETED)
            if job.cancelled():
                # By a stage itself: nobody else has the task. The slot is not to go with it.
                raise RuntimeError("The work was cancelled from within.")
            if job.done():
                job.result()
            elif heartbeat.done():
                raise LeaseLostError
            elif stopped.done():
                raise InterruptedByStopError
            else:
                raise OverdueError
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
                released = await self.pipeline.move(
                    stored, DocumentStatus.PENDING, reason=verdict.reason, burn_attempt=verdict.burn_attempt
                )
                await self._wait(released, seconds=verdict.after_seconds)
        except (MoveError, BackendUnavailableError):
            # Its row is due when the lease ends, and the message comes back: nothing is lost by leaving it.
            return _MOVED
        return verdict

    async def _wait(self, document: Document, *, seconds: float) -> None:
        """Have the sweep wait no less than the message: on a standard queue, nothing holds up the one that it sends."""
        until = self.clock() + timedelta(seconds=seconds)
        if document.due_at is not None and document.due_at < until:
            with suppress(BackendUnavailableError):
                await self.documents.postpone(document, due_at=due_after_send(document.send, at=until))

    async def _leave_to_the_sweep(self, document_id: UUID, verdict: Retry) -> Disposition:
        """Let the message go before the queue gives up on it: when the wait is over, the sweep sends another one.

        Whatever waits for work is due at some time, so it does although the store cannot be told of the wait.
        """
        with suppress(BackendUnavailableError):
            document = await self.documents.get(document_id)
            if document is not None and document.status is DocumentStatus.PENDING:
                await self.documents.postpone(document, due_at=self.clock() + timedelta(seconds=verdict.after_seconds))
        return Ack()


class Consumer:
    """Polls the queue for what its free slots can take, and applies each disposition to its message.

    Nothing is held back for later, but the messages of one FIFO group that came in one answer are done one after
    the other; whoever waits so is kept hidden meanwhile, and fills a slot.
    """

    def __init__(
        self,
        *,
        handler: Handler,
        queue: MessageSource,
        slots: int,
        batch: int,
        wait_seconds: int,
        visibility_seconds: int,
        job_seconds: float,
        clock: Clock,
    ) -> None:
        self._handler = handler
        self._queue = queue
        self._free = asyncio.Semaphore(slots)
        self._batch = batch
        self._wait_seconds = wait_seconds
        self._visibility_seconds = visibility_seconds
        self._job_seconds = job_seconds
        self._clock = clock
        self._give_back = asyncio.Event()

    def hurry(self) -> None:
        """Give back what runs, now."""
        self._give_back.set()

    async def run(self, stopping: asyncio.Event, *, grace_seconds: float) -> None:
        """Consume until `stopping` is set; then finish what runs, or give it back after `grace_seconds`."""
        patience = asyncio.create_task(self._lose_patience(stopping, grace_seconds))
        try:
            async with asyncio.TaskGroup() as jobs:
                while (slots := await self._take_slots()) and not stopping.is_set():
                    # A poll is never abandoned: SQS would deliver into it, and the message would be hidden for nothing.
                    deliveries = await self._receive(limit=slots)
                    self._free_slots(slots - len(deliveries))
                    for group in in_groups(deliveries):
                        jobs.create_task(self._work_through(group, stopping))
        finally:
            patience.cancel()

    async def _take_slots(self) -> int:
        """Wait for a free slot and take it, with as many more as are free and one receive can fill."""
        await self._free.acquire()
        taken = 1
        while taken < self._batch and not self._free.locked():
            await self._free.acquire()
            taken += 1
        return taken

    def _free_slots(self, count: int) -> None:
        for _ in range(count):
            self._free.release()

    async def _receive(self, *, limit: int) -> list[Delivery]:
        try:
            return await self._queue.receive(
                limit=limit, wait_seconds=self._wait_seconds, visibility_seconds=self._visibility_seconds
            )
        except BackendUnavailableError as exc:
            _log.warning("queue.receive_failed", cause=str(exc))
            await asyncio.sleep(_RECEIVE_BACKOFF_SECONDS)
            return []

    async def _work_through(self, group: list[Delivery], stopping: asyncio.Event) -> None:
        """Do a group in order. What follows a message that has to come back is given back: it must not overtake."""
        waiting = deque(group)
        hiding = asyncio.create_task(self._keep_hidden(waiting))
        held_up = False
        try:
            while waiting:
                delivery = waiting.popleft()
                held_up = held_up or stopping.is_set()
                verdict = self._handler.give_back(delivery) if held_up else await self._work(delivery)
                held_up = held_up or isinstance(verdict, Retry)
                await settle(delivery, verdict, queue=self._queue)
                self._free_slots(1)
        finally:
            await _end(hiding)

    async def _work(self, delivery: Delivery) -> Disposition:
        deadline = self._clock() + timedelta(seconds=self._job_seconds)
        return await self._handler.handle(delivery, deadline=deadline, stop=self._give_back)

    async def _keep_hidden(self, waiting: Collection[Delivery]) -> None:
        """Extend the messages that wait for another of their group, as the handler does with the one in its hands."""
        while waiting:
            await asyncio.sleep(self._visibility_seconds / 3)
            for delivery in list(waiting):
                with suppress(BackendUnavailableError):
                    await self._queue.extend(delivery.receipt, visibility_seconds=self._visibility_seconds)

    async def _lose_patience(self, stopping: asyncio.Event, grace_seconds: float) -> None:
        await stopping.wait()
        await asyncio.sleep(grace_seconds)
        self.hurry()


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
