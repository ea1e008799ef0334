"""Short scripts in one process on real backends, each around one invariant. Sound code gets through all of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from psycopg.errors import ForeignKeyViolation

from shared.clock import utc_now
from shared.document import Document, Failure
from shared.errors import DocrelayError
from shared.ports import Delivery
from tests.chaos.history import Answer, Keyed, Stop
from tests.chaos.stage import Stage
from tests.support.builders import S
from tests.support.staged import with_parts
from worker_service.assembly import Worker
from worker_service.disposition import Retry
from worker_service.extractors import Extraction

MINUTE = timedelta(minutes=1)
# More deliveries than there are attempts.
_DELIVERIES = 9


@dataclass(kw_only=True)
class Drill:
    """One script on its stage, and what the stores alone cannot tell of it."""

    on: Stage
    answers: list[Answer] = field(default_factory=list)
    keyed: list[Keyed] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the document says of itself."""
        return self.on.text.split()[1]

    async def queued(self) -> Document:
        return self.promised(await self.on.queued())

    async def unsent(self) -> Document:
        """Pending, and its message lost."""
        return self.promised(await self.on.document(S.UPLOADED, S.PENDING))

    def later(self, minutes: int) -> Stage:
        return replace(self.on, later=minutes * MINUTE)

    async def finish(self, document: Document, *, minutes: int = 0) -> None:
        """Sweep and consume as workers do, a few times: broken code need not come to an end."""
        on = replace(self.later(minutes), document_id=document.id)
        for _ in range(4):
            worker = on.worker()
            await worker.reconciler.sweep(asyncio.Event())
            await on.consume(worker)
            if await on.settled():
                return

    async def delivery(self, *, visibility_seconds: int = 2) -> Delivery | None:
        queue = self.on.backends.queue
        found = await queue.receive(limit=1, wait_seconds=1, visibility_seconds=visibility_seconds)
        return found[0] if found else None

    async def handle(self, worker: Worker, delivery: Delivery) -> Any:
        deadline = utc_now() + MINUTE
        return await worker.handler.handle(delivery, deadline=deadline, stop=asyncio.Event())

    def promised(self, document: Document) -> Document:
        self.answers.append(
            Answer(request="upload", owner=document.owner, name=document.filename, status=202, document_id=document.id)
        )
        return document


Script = Callable[[Drill], Awaitable[None]]


async def zombie(drill: Drill) -> None:
    """A worker loses its claim without noticing, and goes on when another has the document."""
    document = await drill.queued()
    first, second = drill.on.worker().handler.pipeline, drill.later(1).worker().handler.pipeline
    lost = await first.claim(document)
    held = await second.claim(lost)
    # PostgreSQL refuses an illegal move even from wrong code.
    with suppress(DocrelayError, ForeignKeyViolation):
        await first.run(lost, deadline=utc_now() + MINUTE)
    with suppress(DocrelayError, ForeignKeyViolation):
        await second.run(held, deadline=utc_now() + 3 * MINUTE)
    await drill.finish(document, minutes=10)


async def lost_send(drill: Drill) -> None:
    await drill.finish(await drill.unsent(), minutes=1)


async def lost_with_its_worker(drill: Drill) -> None:
    """A worker claims, and is gone; so is its message."""
    document = await drill.queued()
    delivery = await drill.delivery()
    await drill.on.worker().handler.pipeline.claim(document)
    assert delivery is not None
    await drill.on.backends.queue.delete(delivery.receipt)
    await drill.finish(document, minutes=10)


async def one_run(drill: Drill) -> None:
    await drill.finish(await drill.queued())


async def failed_after_all(drill: Drill) -> None:
    """Somebody wants a completed document to have failed."""
    document = await drill.queued()
    await drill.finish(document)
    stored = await drill.on.backends.documents.get(document.id)
    assert stored is not None
    with suppress(DocrelayError):
        failure = Failure(code="dead_lettered", detail="Too late.")
        await drill.on.worker().handler.pipeline.move(stored, S.FAILED, failure=failure)


async def delivered_twice(drill: Drill) -> None:
    """The same message comes to a second worker while the first one works."""
    document = await drill.queued()
    delivery = await drill.delivery()
    assert delivery is not None
    pipeline = drill.on.worker().handler.pipeline
    held = await pipeline.claim(document)
    await drill.handle(drill.on.worker(), delivery)
    with suppress(DocrelayError):
        await pipeline.run(held, deadline=utc_now() + MINUTE)
    await drill.on.backends.queue.delete(delivery.receipt)


async def same_text_twice(drill: Drill) -> None:
    """Two files with the same content, one after the other: the model is paid for one."""
    for _ in range(2):
        await drill.finish(await drill.queued())


async def same_key_twice(drill: Drill) -> None:
    """The same request to process, again after the run has ended."""
    document = drill.promised(await drill.on.document(S.UPLOADED))
    on = replace(drill.on, document_id=document.id)
    for _ in range(2):
        answer = await on.send("POST", "/documents/{}/process", json={})
        drill.keyed.append(
            Keyed(
                request="process",
                owner=on.user.id,
                key="one",
                variant="same",
                status=answer.status_code,
                body=json.dumps(answer.json(), sort_keys=True),
                document_id=document.id,
            )
        )
        await drill.finish(document)


async def two_in_a_row(drill: Drill) -> None:
    """Two workers ask for a message each; the second is the quicker one."""
    documents = [await drill.queued(), await drill.queued()]
    deliveries = [delivery for _ in range(2) if (delivery := await drill.delivery(visibility_seconds=30))]
    for delivery in reversed(deliveries):
        await drill.handle(drill.on.worker(), delivery)
        await drill.on.backends.queue.delete(delivery.receipt)
    for document in documents:
        await drill.finish(document)
    drill.facts["ordered"] = "owner"


async def poison(drill: Drill) -> None:
    """A document that no attempt can do anything with."""
    document = await drill.queued()
    drill.facts["max_attempts"] = drill.on.settings.max_attempts
    worker = drill.on.worker()
    pipeline = with_parts(worker.handler.pipeline, extractor=_Poisoned())
    worker = replace(worker, handler=replace(worker.handler, pipeline=pipeline))
    delivery = await drill.delivery(visibility_seconds=60)
    assert delivery is not None
    for _ in range(_DELIVERIES):
        if not isinstance(await drill.handle(worker, delivery), Retry):
            break
    await drill.on.backends.queue.delete(delivery.receipt)
    await drill.finish(document)


async def deleted(drill: Drill) -> None:
    document = await drill.queued()
    await drill.finish(document)
    on = replace(drill.on, document_id=document.id)
    answer = await on.send("DELETE", "/documents/{}")
    drill.answers.append(replace(drill.answers[0], request="delete", status=answer.status_code, name=drill.name))
    await on.worker().reconciler.sweep(asyncio.Event())


async def stopped(drill: Drill) -> None:
    """A worker that has to stop gives its document and its message back."""
    document = await drill.queued()
    worker = drill.on.worker()
    # Hidden for so long that only being given back brings the message here again.
    await drill.on.consume(worker, stopped=True, visibility_seconds=600)
    again = await drill.delivery()
    drill.stops.append(Stop(seconds=0, in_flight=0 if again else 1, allowed_seconds=1))
    if again is None:
        return
    await drill.on.backends.queue.extend(again.receipt, visibility_seconds=0)
    await drill.finish(document)


class _Poisoned:
    async def extract(self, data: bytes, content_type: str) -> Extraction:  # noqa: ARG002 - the port has it
        raise RuntimeError
