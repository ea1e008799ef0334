"""What becomes of the documents whose messages the queue gave up on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from aiobotocore.session import get_session

from shared.adapters.aws import client_options
from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.document import Document, DocumentStatus, Failure
from shared.messages import ProcessMessage
from shared.moves import commit
from shared.ports import Delivery
from shared.settings import Settings
from tests.support.builders import S, lease, move, moves, new_document, unreadable_report
from worker_service.dead_letters import DeadLetters
from worker_service.disposition import Ack, Retry

DEAD = Failure(code="dead_lettered", detail="The queue gave up on the document's message.")


@dataclass
class World:
    settings: Settings
    backends: Backends

    @property
    def dead_letters(self) -> DeadLetters:
        return DeadLetters(
            queue=self.backends.dead_letters,
            documents=self.backends.documents,
            max_attempts=self.settings.max_attempts,
            clock=utc_now,
            new_id=uuid7,
        )

    async def document(self, *path: DocumentStatus) -> Document:
        document = new_document(at=utc_now())
        await self.backends.documents.insert(document)
        return await commit(self.backends.documents, *moves(document, *path, at=utc_now()))

    async def bury(self, body: str) -> None:
        async with get_session().create_client("sqs", **client_options(self.settings)) as client:
            url = (await client.get_queue_url(QueueName=f"{self.settings.queue_name}-dead.fifo"))["QueueUrl"]
            sent = str(uuid4())
            await client.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=sent, MessageDeduplicationId=sent)

    async def bury_message_of(self, document: Document, *, run: int | None = None) -> None:
        message = ProcessMessage(document_id=document.id, run=run or document.run, send=document.send, at=utc_now())
        await self.bury(message.model_dump_json())

    async def left(self) -> int:
        return len(await self.backends.dead_letters.receive(limit=10, wait_seconds=0, visibility_seconds=1))

    async def now(self, document: Document) -> Document:
        stored = await self.backends.documents.get(document.id)
        assert stored is not None
        return stored


@pytest.fixture
def world(own_settings: Settings, own_backends: Backends) -> World:
    return World(own_settings, own_backends)


async def test_document_that_nobody_works_on_fails_with_that_cause(world: World) -> None:
    document = await world.document(S.UPLOADED, S.PENDING)
    await world.bury_message_of(document)
    assert await world.dead_letters.drain() == 1
    failed = await world.now(document)
    assert (failed.status, failed.failure, failed.due_at) == (S.FAILED, DEAD, None)
    assert await world.left() == 0


async def test_document_that_is_worked_on_is_left_alone_until_its_lease_ends(world: World) -> None:
    pending = await world.document(S.UPLOADED, S.PENDING)
    claim = move(pending, S.PROCESSING, at=utc_now(), lease=lease(at=utc_now(), seconds=1000))
    working = await commit(world.backends.documents, claim)
    await world.bury_message_of(working)
    await world.dead_letters.drain()
    assert await world.now(working) == working
    assert await world.left() == 0


async def test_document_that_was_sent_again_meanwhile_is_none_of_the_dead(world: World) -> None:
    document = await world.document(S.UPLOADED, S.PENDING)
    await world.bury_message_of(document)
    again = await world.backends.documents.count_send(document, due_at=utc_now() + timedelta(minutes=5))
    await world.dead_letters.drain()
    assert await world.now(document) == again


@pytest.mark.parametrize("path", [(S.CANCELLED,), (S.PROCESSING, S.ANALYZING, S.COMPLETED), (S.DELETING,)])
async def test_document_at_its_end_stays_there(world: World, path: tuple[DocumentStatus, ...]) -> None:
    document = await world.document(S.UPLOADED, S.PENDING, *path)
    await world.bury_message_of(document)
    await world.dead_letters.drain()
    assert await world.now(document) == document
    assert await world.left() == 0


async def test_message_of_an_earlier_run_says_nothing_about_this_one(world: World) -> None:
    document = await world.document(S.UPLOADED, S.PENDING, S.FAILED, S.PENDING)
    await world.bury_message_of(document, run=1)
    await world.dead_letters.drain()
    assert await world.now(document) == document


async def test_message_that_this_version_does_not_know_stays(world: World) -> None:
    message = ProcessMessage(document_id=uuid4(), run=1, send=1, at=utc_now()).model_dump(mode="json")
    await world.bury(json.dumps({**message, "v": 2}))
    (delivery,) = await world.backends.dead_letters.receive(limit=1, wait_seconds=1, visibility_seconds=60)
    verdict = await world.dead_letters.handle(delivery)
    assert isinstance(verdict, Retry)
    assert verdict.after_seconds > 0


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
async def test_document_that_another_version_has_written_holds_up_no_other(world: World) -> None:
    unread = new_document(at=utc_now(), report=unreadable_report())
    await world.backends.documents.insert(unread)
    await world.bury_message_of(unread)
    document = await world.document(S.UPLOADED, S.PENDING)
    await world.bury_message_of(document)
    assert await world.dead_letters.drain() == 2
    assert (await world.now(document)).failure == DEAD
    message = ProcessMessage(document_id=unread.id, run=1, send=1, at=utc_now()).model_dump_json()
    assert isinstance(await world.dead_letters.handle(Delivery(body=message, receipt="", receive_count=21)), Ack)
