"""The due sweep on real backends, with the time as a parameter: resends, gives up, removes and erases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aiobotocore.session import get_session

from shared.adapters.aws import client_options
from shared.adapters.postgres.connection import open_pool
from shared.adapters.postgres.documents import PostgresDocumentStore
from shared.adapters.s3 import S3BlobStore
from shared.adapters.sqs import SQSJobQueue
from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.document import (
    RESEND_AFTER,
    SEND_GRACE,
    TOMBSTONE_KEPT_FOR,
    UPLOAD_GRACE,
    Document,
    DocumentStatus,
    blob_prefix,
)
from shared.errors import BackendUnavailableError
from shared.events import DELETED
from shared.messages import ProcessMessage
from shared.moves import commit, dispatch
from shared.ports import Delivery
from shared.settings import Settings
from tests.support.builders import move, moves, new_document
from tests.support.running import until
from worker_service.assembly import assemble
from worker_service.disposition import Ack
from worker_service.extractors import Extraction
from worker_service.reconciler import Reconciler

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

S = DocumentStatus
SECOND = timedelta(seconds=1)


class Queue(SQSJobQueue):
    """The real queue, which loses sends when it is told to."""

    lost_sends = 0

    async def send(self, message: ProcessMessage, *, owner: Any) -> None:
        if self.lost_sends:
            self.lost_sends -= 1
            raise BackendUnavailableError
        await super().send(message, owner=owner)


@dataclass
class Shop:
    """A database, bucket and queue of the test's own, and a time that only the test moves."""

    settings: Settings
    backends: Backends
    queue: Queue
    s3: S3Client
    now: datetime = field(default_factory=utc_now)

    def reconciler(self, **parts: Any) -> Reconciler:
        made = assemble(self.settings, self.backends).reconciler
        return replace(made, **{"queue": self.queue, "clock": lambda: self.now, **parts})

    async def sweep_after(self, wait: timedelta, **parts: Any) -> int:
        self.now += wait
        return await self.reconciler(**parts).sweep()

    async def stored(self, *path: S) -> Document:
        """A document that went this way from `uploading` on, its file in the bucket, no message sent."""
        owner, document_id = uuid4(), uuid7()
        document = new_document(
            id=document_id,
            owner=owner,
            at=self.now,
            filename="secret-name.pdf",
            folder="secret-folder",
            sha256=sha256(b"file").hexdigest(),
            blob_key=f"{blob_prefix(owner, document_id)}original",
        )
        await self.backends.documents.insert(document)
        await self.backends.blobs.put(document.blob_key, b"file", content_type="application/pdf")
        if not path:
            return document
        return await commit(self.backends.documents, *moves(document, *path, at=self.now))

    async def dispatched(self, document: Document) -> None:
        await dispatch(document, queue=self.queue, documents=self.backends.documents, clock=lambda: self.now)

    async def take(self) -> list[ProcessMessage]:
        """Receive and delete what is in the queue."""
        taken = []
        while found := await self.queue.receive(limit=10, wait_seconds=0, visibility_seconds=60):
            for delivery in found:
                taken.append(ProcessMessage.model_validate_json(delivery.body))
                await self.queue.delete(delivery.receipt)
        return taken

    async def sends(self) -> list[int]:
        return [message.send for message in await self.take()]

    async def current(self, document: Document) -> Document:
        found = await self.backends.documents.get(document.id)
        assert found is not None
        return found

    async def objects(self) -> list[str]:
        listed = await self.s3.list_objects_v2(Bucket=self.settings.bucket)
        return [found["Key"] for found in listed.get("Contents", [])]


@pytest.fixture
async def shop(own_settings: Settings, own_backends: Backends) -> AsyncIterator[Shop]:
    session, options = get_session(), client_options(own_settings)
    async with session.create_client("sqs", **options) as sqs, session.create_client("s3", **options) as s3:
        queue = Queue(client=sqs, name=own_settings.queue_name, order="owner", lanes=1)
        yield Shop(own_settings, own_backends, queue, s3)


PENDING = (S.UPLOADED, S.PENDING)
CLAIMED = (*PENDING, S.PROCESSING)
LEASE = timedelta(seconds=60)


async def test_lost_send_is_sent_again_under_a_new_deduplication_id(shop: Shop) -> None:
    document = await shop.stored(*PENDING)
    # The queue took this one and lost it: it remembers the id for five minutes.
    await shop.queue.send(ProcessMessage(document_id=document.id, run=1, send=1, at=shop.now), owner=document.owner)
    assert await shop.sends() == [1]
    assert await shop.sweep_after(SEND_GRACE) == 1
    assert await shop.sends() == [2]


async def test_send_that_never_reached_the_queue_is_made_good(shop: Shop) -> None:
    document = await shop.stored(*PENDING)
    await shop.sweep_after(SEND_GRACE)
    (message,) = await shop.take()
    assert (message.document_id, message.run) == (document.id, 1)


async def test_confirmed_send_is_left_alone_for_longer_each_time(shop: Shop) -> None:
    document = await shop.stored(*PENDING)
    await shop.dispatched(document)
    pauses = []
    for _ in range(3):
        due_at = (await shop.current(document)).due_at
        assert due_at is not None
        pauses.append(due_at - shop.now)
        assert await shop.sweep_after(pauses[-1] - SECOND) == 0
        assert await shop.sweep_after(SECOND) == 1
    assert pauses == [RESEND_AFTER, 2 * RESEND_AFTER, 4 * RESEND_AFTER]
    assert await shop.sends() == [1, 2, 3, 4]


async def test_expired_lease_is_sent_again_for_another_worker_to_claim(shop: Shop) -> None:
    document = await shop.stored(*CLAIMED)
    assert await shop.sweep_after(LEASE - SECOND) == 0
    assert await shop.sweep_after(SECOND) == 1
    assert await shop.sends() == [2]
    assert (await shop.current(document)).status is S.PROCESSING


@pytest.mark.parametrize("path", [(*CLAIMED, S.PENDING), CLAIMED], ids=["pending", "processing"])
async def test_document_without_attempts_left_fails(shop: Shop, path: tuple[S, ...]) -> None:
    document = await shop.stored(*path)
    await shop.sweep_after(timedelta(hours=1), max_attempts=1)
    failed = await shop.current(document)
    assert failed.failure is not None
    assert (failed.status, failed.failure.code, failed.due_at) == (S.FAILED, "attempts_exhausted", None)
    assert await shop.sends() == []


async def test_lease_that_another_clock_may_still_see_is_not_given_up(shop: Shop) -> None:
    document = await shop.stored(*CLAIMED)
    await shop.sweep_after(LEASE + 4 * SECOND, max_attempts=1)
    assert (await shop.current(document)).status is S.PROCESSING


async def test_abandoned_upload_is_removed_with_its_file(shop: Shop) -> None:
    document = await shop.stored()
    assert await shop.sweep_after(UPLOAD_GRACE - SECOND) == 0
    assert await shop.objects() == [document.blob_key]
    assert await shop.sweep_after(SECOND) == 1
    assert await shop.backends.documents.get(document.id) is None
    assert await shop.objects() == []


async def test_upload_that_is_accepted_at_the_last_moment_keeps_its_file(shop: Shop) -> None:
    class Slow(PostgresDocumentStore):
        """Between what a sweep finds and what it does, the upload is accepted."""

        async def due(self, *, now: datetime, limit: int) -> list[Document]:
            found = await super().due(now=now, limit=limit)
            await commit(self, *moves(document, *PENDING, at=now))
            return found

    document = await shop.stored()
    async with open_pool(shop.settings.database_url.get_secret_value(), size=2) as pool:
        await shop.sweep_after(UPLOAD_GRACE, documents=Slow(pool=pool))
    assert (await shop.current(document)).status is S.PENDING
    assert await shop.objects() == [document.blob_key]


async def test_deleted_document_is_erased_from_bucket_store_and_feed(shop: Shop) -> None:
    document = await shop.stored(*CLAIMED, S.FAILED)
    await shop.backends.blobs.put(f"{document.prefix}text-1", b"text", content_type="text/plain")
    deleted = await commit(shop.backends.documents, move(document, S.DELETING, at=shop.now))
    assert await shop.sweep_after(SECOND) == 1
    assert await shop.objects() == []
    assert await shop.backends.documents.history(document.id) == []
    events = await shop.backends.feed.events(document.owner, after=0, limit=100)
    assert events[-1].status == DELETED
    assert "secret" not in repr(events)
    tomb = await shop.current(document)
    assert (tomb.entombed, tomb.fence) == (True, deleted.fence)


async def test_late_message_of_an_erased_document_is_acked(shop: Shop) -> None:
    document = await shop.stored(*PENDING)
    await commit(shop.backends.documents, move(document, S.DELETING, at=shop.now))
    await shop.sweep_after(SECOND)
    message = ProcessMessage(document_id=document.id, run=1, send=1, at=shop.now)
    delivery = Delivery(body=message.model_dump_json(), receipt="late", receive_count=1)
    handler = assemble(shop.settings, shop.backends).handler
    assert await handler.handle(delivery, deadline=shop.now, stop=asyncio.Event()) == Ack()
    assert (await shop.current(document)).entombed


async def test_document_deleted_while_its_text_is_extracted_leaves_no_object_behind(shop: Shop) -> None:
    class LateExtractor:
        """Its document is deleted and erased before it has the text."""

        async def extract(self, data: bytes, content_type: str) -> Extraction:  # noqa: ARG002 - the port has it
            await commit(shop.backends.documents, move(await shop.current(document), S.DELETING, at=shop.now))
            await shop.sweep_after(SECOND)
            return Extraction(text="Nobody wants this any more.")

    document = await shop.stored(*PENDING)
    message = ProcessMessage(document_id=document.id, run=1, send=1, at=shop.now)
    delivery = Delivery(body=message.model_dump_json(), receipt="", receive_count=1)
    handler = assemble(shop.settings, shop.backends).handler
    late = replace(handler, pipeline=replace(handler.pipeline, extractor=LateExtractor()))
    await late.handle(delivery, deadline=shop.now + LEASE, stop=asyncio.Event())
    await shop.sweep_after(SECOND)
    assert await shop.objects() == []


async def test_tombstone_is_kept_longer_than_any_message_and_then_removed(shop: Shop) -> None:
    document = await shop.stored(S.UPLOADED, S.DELETING)
    assert await shop.sweep_after(SECOND) == 1
    assert await shop.sweep_after(TOMBSTONE_KEPT_FOR - SECOND) == 0
    assert (await shop.current(document)).entombed
    assert await shop.sweep_after(SECOND) == 1
    assert await shop.backends.documents.get(document.id) is None


async def test_two_sweepers_at_once_do_everything_once(shop: Shop) -> None:
    lost = [await shop.stored(*PENDING) for _ in range(5)]
    spent = [await shop.stored(*CLAIMED) for _ in range(5)]
    gone = [await shop.stored(S.UPLOADED, S.DELETING) for _ in range(5)]
    abandoned = [await shop.stored() for _ in range(5)]
    shop.now += timedelta(hours=1)
    sweeper = shop.reconciler(max_attempts=1)
    await asyncio.gather(sweeper.sweep(), sweeper.sweep())
    assert sorted(message.document_id for message in await shop.take()) == sorted(document.id for document in lost)
    for document in spent:
        history = await shop.backends.documents.history(document.id)
        assert [entry.status for entry in history].count(S.FAILED) == 1
    assert all([(await shop.current(document)).entombed for document in gone])
    assert [await shop.backends.documents.get(document.id) for document in abandoned] == [None] * 5
    assert await shop.objects() == sorted(document.blob_key for document in [*lost, *spent])


async def test_sweeps_go_on_after_a_backend_did_not_answer(shop: Shop) -> None:
    first, second = [await shop.stored(*PENDING) for _ in range(2)]
    shop.queue.lost_sends = 1
    shop.now += SEND_GRACE
    stopping = asyncio.Event()
    running = asyncio.create_task(shop.reconciler().run(stopping, every_seconds=0.05))
    taken: list[ProcessMessage] = []

    async def sent() -> bool:
        taken.extend(await shop.take())
        return len(taken) == 1

    await until(sent)
    stopping.set()
    await running
    assert await shop.sweep_after(SEND_GRACE) == 1
    taken.extend(await shop.take())
    assert [(message.document_id, message.send) for message in taken] == [(second.id, 2), (first.id, 3)]


async def test_document_that_cannot_be_settled_holds_up_no_other(shop: Shop) -> None:
    class Torn(S3BlobStore):
        async def delete_prefix(self, prefix: str) -> None:  # noqa: ARG002 - the port has it
            raise BackendUnavailableError

    await shop.stored(S.UPLOADED, S.DELETING)
    await shop.stored(*PENDING)
    shop.now += SEND_GRACE
    for _ in range(2):
        with suppress(BackendUnavailableError):
            await shop.reconciler(blobs=Torn(client=shop.s3, bucket=shop.settings.bucket)).sweep()
    assert await shop.sends() == [2]


async def test_sweeper_stops_between_two_sweeps(shop: Shop) -> None:
    stopping = asyncio.Event()
    running = asyncio.create_task(shop.reconciler().run(stopping, every_seconds=3600))
    stopping.set()
    await running
