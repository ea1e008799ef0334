"""The due sweep on real backends, with the time as a parameter: resends, gives up, removes and erases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from aiobotocore.session import get_session

from shared.adapters.aws import client_options
from shared.adapters.postgres.connection import open_pool
from shared.adapters.postgres.documents import PostgresDocumentStore
from shared.adapters.s3 import S3BlobStore
from shared.adapters.sqs import SQSJobQueue
from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.document import Document, DocumentStatus, blob_prefix
from shared.errors import BackendUnavailableError
from shared.events import DELETED
from shared.messages import ProcessMessage
from shared.moves import commit, dispatch
from shared.ports import Delivery
from shared.settings import Settings
from tests.support.builders import move, moves, new_document
from tests.support.running import until
from tests.support.staged import with_parts
from worker_service.assembly import assemble
from worker_service.disposition import Ack
from worker_service.extractors import Extraction
from worker_service.reconciler import Reconciler

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

S = DocumentStatus
SECOND = timedelta(seconds=1)
# As promised, not as imported: a changed constant has to be noticed here.
SEND_GRACE = timedelta(seconds=30)
RESEND_AFTER = timedelta(minutes=5)
UPLOAD_GRACE = timedelta(minutes=15)
TOMBSTONE_KEPT_FOR = timedelta(days=15)
# What the builders' leases last.
LEASE = timedelta(seconds=60)
PENDING = (S.UPLOADED, S.PENDING)
CLAIMED = (*PENDING, S.PROCESSING)


class Queue(SQSJobQueue):
    """The real queue, which loses sends when it is told to."""

    lost_sends = 0

    async def send(self, message: ProcessMessage, *, owner: UUID) -> None:
        if self.lost_sends:
            self.lost_sends -= 1
            raise BackendUnavailableError
        await super().send(message, owner=owner)


@dataclass
class World:
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
        return await self.reconciler(**parts).sweep(asyncio.Event())

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
async def world(own_settings: Settings, own_backends: Backends) -> AsyncIterator[World]:
    session, options = get_session(), client_options(own_settings)
    async with session.create_client("sqs", **options) as sqs, session.create_client("s3", **options) as s3:
        queue = Queue(client=sqs, name=own_settings.queue_name, kind="fifo", order="owner", lanes=1)
        yield World(own_settings, own_backends, queue, s3)


async def test_lost_send_is_sent_again_under_a_new_deduplication_id(world: World) -> None:
    document = await world.stored(*PENDING)
    # The queue took this one and lost it: it remembers the id for five minutes.
    await world.queue.send(ProcessMessage(document_id=document.id, run=1, send=1, at=world.now), owner=document.owner)
    assert await world.sends() == [1]
    assert await world.sweep_after(SEND_GRACE) == 1
    assert await world.sends() == [2]


async def test_send_that_never_reached_the_queue_is_made_good(world: World) -> None:
    document = await world.stored(*PENDING)
    await world.sweep_after(SEND_GRACE)
    (message,) = await world.take()
    assert (message.document_id, message.run) == (document.id, 1)


async def test_confirmed_send_is_left_alone_for_longer_each_time(world: World) -> None:
    document = await world.stored(*PENDING)
    await world.dispatched(document)
    pauses = []
    for _ in range(3):
        due_at = (await world.current(document)).due_at
        assert due_at is not None
        pauses.append(due_at - world.now)
        assert await world.sweep_after(pauses[-1] - SECOND) == 0
        assert await world.sweep_after(SECOND) == 1
    assert pauses == [RESEND_AFTER, 2 * RESEND_AFTER, 4 * RESEND_AFTER]
    assert await world.sends() == [1, 2, 3, 4]


async def test_expired_lease_is_sent_again_for_another_worker_to_claim(world: World) -> None:
    document = await world.stored(*CLAIMED)
    assert await world.sweep_after(LEASE - SECOND) == 0
    assert await world.sweep_after(SECOND) == 1
    assert await world.sends() == [2]
    assert (await world.current(document)).status is S.PROCESSING


@pytest.mark.parametrize("path", [(*CLAIMED, S.PENDING), CLAIMED], ids=["pending", "processing"])
async def test_document_without_attempts_left_fails(world: World, path: tuple[S, ...]) -> None:
    document = await world.stored(*path)
    await world.sweep_after(timedelta(hours=1), max_attempts=1)
    failed = await world.current(document)
    assert failed.failure is not None
    assert (failed.status, failed.failure.code, failed.due_at) == (S.FAILED, "attempts_exhausted", None)
    assert await world.sends() == []


async def test_lease_that_another_clock_may_still_see_is_not_given_up(world: World) -> None:
    document = await world.stored(*CLAIMED)
    await world.sweep_after(LEASE + 4 * SECOND, max_attempts=1)
    assert (await world.current(document)).status is S.PROCESSING


async def test_abandoned_upload_is_removed_with_its_file(world: World) -> None:
    document = await world.stored()
    assert await world.sweep_after(UPLOAD_GRACE - SECOND) == 0
    assert await world.objects() == [document.blob_key]
    assert await world.sweep_after(SECOND) == 1
    assert (await world.current(document)).entombed
    assert await world.objects() == []


async def test_upload_that_is_accepted_at_the_last_moment_keeps_its_file(world: World) -> None:
    class Slow(PostgresDocumentStore):
        """Between what a sweep finds and what it does, the upload is accepted."""

        async def due(self, *, now: datetime, limit: int) -> list[Document]:
            found = await super().due(now=now, limit=limit)
            await commit(self, *moves(document, *PENDING, at=now))
            return found

    document = await world.stored()
    async with open_pool(world.settings.database_url.get_secret_value(), size=2) as pool:
        await world.sweep_after(UPLOAD_GRACE, documents=Slow(pool=pool))
    assert (await world.current(document)).status is S.PENDING
    assert await world.objects() == [document.blob_key]


async def test_deleted_document_is_erased_from_bucket_store_and_feed(world: World) -> None:
    document = await world.stored(*CLAIMED, S.FAILED)
    await world.backends.blobs.put(f"{document.prefix}text-1", b"text", content_type="text/plain")
    deleted = await commit(world.backends.documents, move(document, S.DELETING, at=world.now))
    assert await world.sweep_after(SECOND) == 1
    assert await world.objects() == []
    assert await world.backends.documents.history(document.id) == []
    events = await world.backends.feed.events(document.owner, after=0, limit=100)
    assert events[-1].status == DELETED
    assert "secret" not in repr(events)
    tomb = await world.current(document)
    assert (tomb.entombed, tomb.fence) == (True, deleted.fence)


async def test_late_message_of_an_erased_document_is_acked(world: World) -> None:
    document = await world.stored(*PENDING)
    await commit(world.backends.documents, move(document, S.DELETING, at=world.now))
    await world.sweep_after(SECOND)
    message = ProcessMessage(document_id=document.id, run=1, send=1, at=world.now)
    delivery = Delivery(body=message.model_dump_json(), receipt="late", receive_count=1)
    handler = assemble(world.settings, world.backends).handler
    assert await handler.handle(delivery, deadline=world.now, stop=asyncio.Event()) == Ack()
    assert (await world.current(document)).entombed


async def test_document_deleted_while_its_text_is_extracted_leaves_no_object_behind(world: World) -> None:
    class LateExtractor:
        """Its document is deleted and erased before it has the text."""

        async def extract(self, data: bytes, content_type: str) -> Extraction:  # noqa: ARG002 - the port has it
            await commit(world.backends.documents, move(await world.current(document), S.DELETING, at=world.now))
            await world.sweep_after(SECOND)
            return Extraction(text="Nobody wants this any more.")

    document = await world.stored(*PENDING)
    message = ProcessMessage(document_id=document.id, run=1, send=1, at=world.now)
    delivery = Delivery(body=message.model_dump_json(), receipt="", receive_count=1)
    handler = assemble(world.settings, world.backends).handler
    late = replace(handler, pipeline=with_parts(handler.pipeline, extractor=LateExtractor()))
    await late.handle(delivery, deadline=world.now + LEASE, stop=asyncio.Event())
    await world.sweep_after(SECOND)
    assert await world.objects() == []


async def test_tombstone_is_kept_longer_than_any_message_and_then_removed(world: World) -> None:
    document = await world.stored(S.UPLOADED, S.DELETING)
    assert await world.sweep_after(SECOND) == 1
    assert await world.sweep_after(TOMBSTONE_KEPT_FOR - SECOND) == 0
    assert (await world.current(document)).entombed
    assert await world.sweep_after(SECOND) == 1
    assert await world.backends.documents.get(document.id) is None


async def test_sweep_that_is_to_end_begins_with_no_other_document(world: World) -> None:
    document = await world.stored(S.UPLOADED, S.DELETING)
    world.now += SECOND
    stopping = asyncio.Event()
    stopping.set()
    await world.reconciler().sweep(stopping)
    assert not (await world.current(document)).entombed
    assert await world.sweep_after(SECOND) == 1
    assert (await world.current(document)).entombed


async def test_two_sweepers_at_once_do_everything_once(world: World) -> None:
    lost = [await world.stored(*PENDING) for _ in range(5)]
    spent = [await world.stored(*CLAIMED) for _ in range(5)]
    gone = [await world.stored(S.UPLOADED, S.DELETING) for _ in range(5)]
    abandoned = [await world.stored() for _ in range(5)]
    world.now += timedelta(hours=1)
    sweeper = world.reconciler(max_attempts=1)
    await asyncio.gather(sweeper.sweep(asyncio.Event()), sweeper.sweep(asyncio.Event()))
    assert sorted(message.document_id for message in await world.take()) == sorted(document.id for document in lost)
    for document in spent:
        history = await world.backends.documents.history(document.id)
        assert [entry.status for entry in history].count(S.FAILED) == 1
    assert all([(await world.current(document)).entombed for document in gone])
    assert all([(await world.current(document)).entombed for document in abandoned])
    assert await world.objects() == sorted(document.blob_key for document in [*lost, *spent])


async def test_send_that_fails_in_a_sweep_is_made_good_by_a_later_one(world: World) -> None:
    first, second = [await world.stored(*PENDING) for _ in range(2)]
    world.queue.lost_sends = 1
    await world.sweep_after(SEND_GRACE)
    await world.sweep_after(SEND_GRACE)
    sent = [(message.document_id, message.send) for message in await world.take()]
    assert sent == [(second.id, 2), (first.id, 3)]


async def test_sweeper_goes_on_after_the_store_did_not_answer(world: World) -> None:
    class Absent(PostgresDocumentStore):
        lost_looks = 1

        async def due(self, *, now: datetime, limit: int) -> list[Document]:
            if self.lost_looks:
                self.lost_looks -= 1
                raise BackendUnavailableError
            return await super().due(now=now, limit=limit)

    async def sent() -> bool:
        return await world.sends() == [2]

    await world.stored(*PENDING)
    world.now += SEND_GRACE
    stopping = asyncio.Event()
    async with open_pool(world.settings.database_url.get_secret_value(), size=2) as pool:
        running = asyncio.create_task(world.reconciler(documents=Absent(pool=pool)).run(stopping, every_seconds=0.05))
        await until(sent)
        stopping.set()
        await running


@pytest.mark.parametrize("error", [BackendUnavailableError(), RuntimeError("a bug")])
async def test_document_that_cannot_be_settled_holds_up_no_other(world: World, error: Exception) -> None:
    class Torn(S3BlobStore):
        async def delete_prefix(self, prefix: str) -> None:  # noqa: ARG002 - the port has it
            raise error

    await world.stored(S.UPLOADED, S.DELETING)
    await world.stored(*PENDING)
    blobs = Torn(client=world.s3, signer=world.s3, bucket=world.settings.bucket)
    assert await world.sweep_after(SEND_GRACE, blobs=blobs) == 2
    assert await world.sends() == [2]


async def test_row_that_the_store_does_not_take_holds_up_no_other(world: World) -> None:
    class Refusing(PostgresDocumentStore):
        async def count_send(self, document: Document, *, due_at: datetime) -> Document | None:
            refuse(document)
            return await super().count_send(document, due_at=due_at)

        async def postpone(self, document: Document, *, due_at: datetime) -> None:
            refuse(document)
            await super().postpone(document, due_at=due_at)

    def refuse(document: Document) -> None:
        if document.id == refused.id:
            raise psycopg.errors.CheckViolation

    refused = await world.stored(*PENDING)
    await world.stored(*PENDING)
    async with open_pool(world.settings.database_url.get_secret_value(), size=2) as pool:
        assert await world.sweep_after(SEND_GRACE, documents=Refusing(pool=pool)) == 1
    assert await world.sends() == [2]


async def test_sweeper_stops_between_two_sweeps(world: World) -> None:
    stopping = asyncio.Event()
    running = asyncio.create_task(world.reconciler().run(stopping, every_seconds=3600))
    stopping.set()
    await running
