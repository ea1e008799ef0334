"""One document and one actor of ours around it: a client with the API in its process, or a worker without a sandbox."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx

from api_service.app import create_app
from shared.accounts import User
from shared.bootstrap import Backends
from shared.clock import Clock, utc_now, uuid7
from shared.document import Document, DocumentStatus, blob_prefix
from shared.moves import commit, dispatch
from shared.settings import Settings
from tests.support.builders import S, moves, new_document
from tests.support.callers import tokens_of
from tests.support.staged import with_parts
from worker_service.assembly import Worker, assemble
from worker_service.deliveries import settle
from worker_service.extractors import Extraction

# What a text begins with that takes its time.
SLOWLY = "Slowly."
_FOREVER_SECONDS = 600
# Until the message of a dead actor comes back.
_VISIBILITY_SECONDS = 2


class PlainText:
    """In place of the sandbox, whose children would cost more than everything else here."""

    async def extract(self, data: bytes, content_type: str) -> Extraction:  # noqa: ARG002 - the port has it
        if data.startswith(SLOWLY.encode()):
            # Long enough for a heartbeat of a short lease.
            await asyncio.sleep(1.2)
        return Extraction(text=data.decode())


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """`text` is the document's, and of no other document. `later` turns the actor's clock forward.

    The actor works on `backends`; `watched` are the same, without what may be in between.
    """

    settings: Settings
    backends: Backends
    watched: Backends
    user: User
    text: str
    document_id: UUID | None = None
    later: timedelta = timedelta(0)

    @property
    def clock(self) -> Clock:
        return lambda: utc_now() + self.later

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """A request of the user's, with one and the same Idempotency-Key, answered in this process."""
        app = create_app(self.settings, self.backends)
        token = tokens_of(self.settings).access(self.user, UUID(int=0))
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "one-and-the-same"}
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api/api/v1", headers=headers) as client:
            return await client.request(method, path.format(self.document_id), **request)

    def worker(self) -> Worker:
        made = assemble(self.settings, self.backends)
        pipeline = replace(with_parts(made.handler.pipeline, extractor=PlainText()), clock=self.clock)
        return replace(
            made,
            handler=replace(made.handler, pipeline=pipeline, clock=self.clock),
            dead_letters=replace(made.dead_letters, clock=self.clock),
            reconciler=replace(made.reconciler, clock=self.clock),
        )

    async def work(self) -> None:
        """What a worker does all the time, step by step, until the document is settled."""
        worker = self.worker()
        while not await self.settled():
            await worker.reconciler.sweep(asyncio.Event())
            await worker.dead_letters.drain()
            await self.consume(worker)

    async def consume(
        self, worker: Worker, *, stopped: bool = False, visibility_seconds: int = _VISIBILITY_SECONDS
    ) -> None:
        """Take one message, if there is one, and settle it; a stopped worker gives it back."""
        stop = asyncio.Event()
        if stopped:
            stop.set()
        handler = worker.handler
        received = await handler.queue.receive(limit=1, wait_seconds=1, visibility_seconds=visibility_seconds)
        for delivery in received:
            deadline = self.clock() + timedelta(seconds=_FOREVER_SECONDS)
            verdict = await handler.handle(delivery, deadline=deadline, stop=stop)
            await settle(delivery, verdict, queue=handler.queue)

    async def settled(self) -> bool:
        """Whether nobody has to do anything about the document any more, a tombstone's end aside."""
        document = await self.stored()
        return document is None or document.entombed or document.due_at is None

    async def stored(self) -> Document | None:
        return await self.watched.documents.get(self.document_id) if self.document_id else None

    async def document(self, *path: DocumentStatus, **facts: Any) -> Document:
        """A document of the user's with its object, brought along the path, none of it by the actor."""
        document_id, data = uuid7(), self.text.encode()
        document = new_document(
            id=document_id,
            owner=self.user.id,
            at=utc_now(),
            content_type="text/plain",
            sha256=sha256(data).hexdigest(),
            blob_key=f"{blob_prefix(self.user.id, document_id)}original",
            **facts,
        )
        await self.backends.documents.insert(document)
        await self.backends.blobs.put(document.blob_key, data, content_type="text/plain")
        if path:
            document = await commit(self.backends.documents, *moves(document, *path, at=utc_now()))
        return document

    async def queued(self) -> Document:
        """A pending document whose message is in the queue."""
        document = await self.document(S.UPLOADED, S.PENDING)
        await dispatch(document, queue=self.backends.queue, documents=self.backends.documents, clock=utc_now)
        return document
