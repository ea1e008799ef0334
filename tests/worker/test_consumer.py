"""The polling loop on a real queue: what it takes, how it settles each message, and how it stops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from aiobotocore.session import get_session

from shared.adapters.aws import client_options
from shared.adapters.sqs import SQSJobQueue
from shared.analysis import Report
from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.document import Document, DocumentStatus, blob_prefix
from shared.errors import BackendUnavailableError, LLMRateLimitedError
from shared.messages import ProcessMessage
from shared.moves import commit, dispatch
from shared.ports import Delivery
from shared.settings import Settings
from tests.support.builders import lease, move, moves, new_document, report
from tests.support.running import until
from tests.support.staged import with_parts
from worker_service.assembly import assemble
from worker_service.consumer import Consumer
from worker_service.extractors import Extraction

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

S = DocumentStatus


class PlainText:
    async def extract(self, data: bytes, content_type: str) -> Extraction:  # noqa: ARG002 - the port has it
        return Extraction(text=data.decode())


@dataclass
class Model:
    """An analyzer that answers when it is let to, and notes what it was asked and how much of it at the same time."""

    name: str = "offline"
    error: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    texts: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...

    async def analyze(self, extraction: Extraction, **given: object) -> Report:  # noqa: ARG002
        self.texts.append(extraction.text)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if self.error is not None:
            raise self.error
        return report()


class Queue(SQSJobQueue):
    """The real queue, which notes what is done with messages and fails where it is told to."""

    def __init__(self, *, client: SQSClient, name: str) -> None:
        super().__init__(client=client, name=name, kind="fifo", order="owner", lanes=1)
        self.polling = asyncio.Event()
        self.answered_polls = 0
        self.received: list[Delivery] = []
        self.hidden_for: list[int] = []
        self.lost_polls = 0
        self.lost_deletes = 0

    async def receive(self, *, limit: int, wait_seconds: int, visibility_seconds: int) -> list[Delivery]:
        if self.lost_polls:
            self.lost_polls -= 1
            raise BackendUnavailableError
        self.polling.set()
        found = await super().receive(limit=limit, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds)
        self.answered_polls += 1
        self.received += found
        return found

    async def extend(self, receipt: str, *, visibility_seconds: int) -> None:
        await super().extend(receipt, visibility_seconds=visibility_seconds)
        self.hidden_for.append(visibility_seconds)

    async def hides_one(self) -> None:
        async def hidden() -> bool:
            return bool(self.hidden_for)

        await until(hidden)

    async def delete(self, receipt: str) -> None:
        if self.lost_deletes:
            self.lost_deletes -= 1
            raise BackendUnavailableError
        await super().delete(receipt)


@dataclass
class World:
    """A database, bucket and queue of the test's own, one model, and consumers on them."""

    settings: Settings
    backends: Backends
    queue: Queue
    client: SQSClient
    model: Model = field(default_factory=Model)

    def consumer(
        self, *, slots: int = 1, batch: int = 1, wait_seconds: int = 1, visibility_seconds: int = 15
    ) -> Consumer:
        made = assemble(self.settings, self.backends)
        pipeline = with_parts(made.handler.pipeline, extractor=PlainText(), analyzer=self.model)
        return Consumer(
            handler=replace(made.handler, pipeline=pipeline, queue=self.queue),
            queue=self.queue,
            slots=slots,
            batch=batch,
            wait_seconds=wait_seconds,
            visibility_seconds=visibility_seconds,
            job_seconds=60,
            clock=utc_now,
        )

    @asynccontextmanager
    async def consuming(self, *consumers: Consumer, grace_seconds: float = 0) -> AsyncIterator[asyncio.Event]:
        """Run the consumers until the block ends, or the yielded event is set before."""
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for consumer in consumers or (self.consumer(),):
                tasks.create_task(consumer.run(stopping, grace_seconds=grace_seconds))
            yield stopping
            stopping.set()

    async def upload(self, text: str = "A note.", *, owner: UUID | None = None) -> Document:
        owner, document_id = owner or uuid4(), uuid7()
        document = new_document(
            id=document_id,
            owner=owner,
            at=utc_now(),
            content_type="text/plain",
            sha256=sha256(text.encode()).hexdigest(),
            blob_key=f"{blob_prefix(owner, document_id)}original",
        )
        documents = self.backends.documents
        await documents.insert(document)
        await self.backends.blobs.put(document.blob_key, text.encode(), content_type="text/plain")
        pending = await commit(documents, *moves(document, S.UPLOADED, S.PENDING, at=utc_now()))
        await dispatch(pending, queue=self.queue, documents=documents, clock=utc_now)
        return pending

    async def statuses(self, *documents: Document) -> list[S]:
        found = [await self.backends.documents.get(document.id) for document in documents]
        return [document.status for document in found if document]

    async def all_reach(self, *documents: Document, status: S = S.COMPLETED) -> None:
        async def reached() -> bool:
            return set(await self.statuses(*documents)) == {status}

        await until(reached)

    async def depth(self, suffix: str = "") -> int:
        """How many messages a queue holds, hidden ones included."""
        url = (await self.client.get_queue_url(QueueName=f"{self.settings.queue_name}{suffix}.fifo"))["QueueUrl"]
        found = (await self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])

    async def empties(self) -> None:
        async def empty() -> bool:
            return await self.depth() == 0

        await until(empty)

    async def claims(self, document: Document) -> int:
        return [entry.status for entry in await self.backends.documents.history(document.id)].count(S.PROCESSING)


@pytest.fixture
async def world(own_settings: Settings, own_backends: Backends) -> AsyncIterator[World]:
    async with get_session().create_client("sqs", **client_options(own_settings)) as client:
        world = World(own_settings, own_backends, Queue(client=client, name=own_settings.queue_name), client)
        world.model.gate.set()
        yield world


async def test_document_completes_and_only_then_its_message_is_deleted(world: World) -> None:
    world.model.gate.clear()
    document = await world.upload()
    async with world.consuming(grace_seconds=30):
        await world.all_reach(document, status=S.ANALYZING)
        assert await world.depth() == 1
        world.model.gate.set()
        await world.all_reach(document)
        await world.empties()


async def test_unknown_messages_are_not_deleted_and_become_dead_letters(world: World) -> None:
    message = ProcessMessage(document_id=uuid4(), run=1, send=1, at=utc_now()).model_dump(mode="json")
    bodies = ["not JSON", json.dumps({**message, "v": 2}), json.dumps({**message, "type": "document.shred"})]
    url = (await world.client.get_queue_url(QueueName=f"{world.settings.queue_name}.fifo"))["QueueUrl"]
    for body in bodies:
        sent = str(uuid4())
        await world.client.send_message(
            QueueUrl=url, MessageBody=body, MessageGroupId=sent, MessageDeduplicationId=sent
        )

    async def buried() -> bool:
        return await world.depth("-dead") == len(bodies)

    async with world.consuming():
        await until(buried)
    assert max(delivery.receive_count for delivery in world.queue.received) == 20
    assert await world.depth() == 0


async def test_message_behind_a_live_lease_is_hidden_for_its_rest_and_six_seconds(world: World) -> None:
    document = await world.upload()
    claim = move(document, S.PROCESSING, at=utc_now(), lease=lease("somebody", at=utc_now(), seconds=1000))
    await commit(world.backends.documents, claim)
    async with world.consuming():
        await world.queue.hides_one()
    assert 1000 < world.queue.hidden_for[0] <= 1006
    assert await world.depth() == 1
    assert await world.claims(document) == 1


async def test_message_of_a_rate_limited_document_is_hidden_for_as_long_as_the_model_asks(world: World) -> None:
    world.model.error = LLMRateLimitedError(retry_after_seconds=16.2)
    document = await world.upload()
    async with world.consuming():
        await world.queue.hides_one()
    assert world.queue.hidden_for == [17]
    assert (await world.statuses(document), await world.depth()) == ([S.PENDING], 1)


@pytest.mark.parametrize("path", [(S.CANCELLED,), (S.DELETING,)])
async def test_message_of_a_document_that_needs_nothing_is_deleted(world: World, path: tuple[S, ...]) -> None:
    await commit(world.backends.documents, *moves(await world.upload(), *path, at=utc_now()))
    async with world.consuming():
        await world.empties()
    assert world.model.texts == []


async def test_stop_lets_a_running_job_finish_within_its_grace(world: World) -> None:
    world.model.gate.clear()
    document = await world.upload()
    async with world.consuming(grace_seconds=30) as stopping:
        await world.all_reach(document, status=S.ANALYZING)
        stopping.set()
        world.model.gate.set()
    assert (await world.statuses(document), await world.depth()) == ([S.COMPLETED], 0)


async def test_stop_gives_a_job_that_outlasts_its_grace_back_at_once(world: World) -> None:
    world.model.gate.clear()
    document = await world.upload()
    async with world.consuming(grace_seconds=0):
        await world.all_reach(document, status=S.ANALYZING)
    released = await world.backends.documents.get(document.id)
    assert released is not None
    assert (released.status, released.attempt, released.lease) == (S.PENDING, 0, None)
    (again,) = await world.queue.receive(limit=1, wait_seconds=1, visibility_seconds=1)
    assert again.receive_count == 2


async def test_stop_with_an_idle_poll_ends_after_the_poll(world: World) -> None:
    async with world.consuming() as stopping:
        await world.queue.polling.wait()
        stopping.set()
    assert (world.queue.answered_polls, world.queue.received) == (1, [])


async def test_message_that_the_last_poll_brings_is_given_back_at_once(world: World) -> None:
    async with world.consuming(world.consumer(wait_seconds=20)) as stopping:
        await world.queue.polling.wait()
        stopping.set()
        document = await world.upload()
    assert world.queue.hidden_for == [0]
    assert await world.claims(document) == 0
    (again,) = await world.queue.receive(limit=1, wait_seconds=1, visibility_seconds=1)
    assert again.receive_count == 2


async def test_as_many_owners_are_served_at_once_as_there_are_slots(world: World) -> None:
    world.model.gate.clear()
    documents = [await world.upload() for _ in range(4)]

    async def busy() -> bool:
        return world.model.at_once == 3

    async with world.consuming(world.consumer(slots=3)):
        await until(busy)
        world.model.gate.set()
        await world.all_reach(*documents)
    assert world.model.most_at_once == 3


async def test_one_owner_is_served_one_at_a_time_in_upload_order(world: World) -> None:
    owner, texts = uuid4(), [f"Note {number}." for number in range(8)]
    documents = [await world.upload(text, owner=owner) for text in texts]
    async with world.consuming(world.consumer(slots=3), world.consumer(slots=3)):
        await world.all_reach(*documents)
    assert (world.model.texts, world.model.most_at_once) == (texts, 1)


async def test_two_workers_share_the_work_and_claim_each_document_once(world: World) -> None:
    documents = [await world.upload() for _ in range(10)]
    async with world.consuming(world.consumer(slots=2), world.consumer(slots=2)):
        await world.all_reach(*documents)
    assert [await world.claims(document) for document in documents] == [1] * 10


async def test_delete_with_a_stale_receipt_is_harmless(world: World) -> None:
    world.model.gate.clear()
    document = await world.upload()
    async with world.consuming():
        await world.all_reach(document, status=S.ANALYZING)
        (taken,) = world.queue.received
        await world.queue.extend(taken.receipt, visibility_seconds=0)
        (again,) = await world.backends.queue.receive(limit=1, wait_seconds=1, visibility_seconds=60)
        world.model.gate.set()
        await world.all_reach(document)
        await world.backends.queue.extend(again.receipt, visibility_seconds=0)
        await world.empties()
    assert await world.claims(document) == 1


async def test_lost_delete_is_made_good_at_the_next_delivery(world: World) -> None:
    world.queue.lost_deletes = 1
    document = await world.upload()
    async with world.consuming(world.consumer(visibility_seconds=1)):
        await world.all_reach(document)
        await world.empties()
    assert len(world.queue.received) == 2
    assert await world.claims(document) == 1


async def test_polling_goes_on_after_the_queue_did_not_answer(world: World) -> None:
    world.queue.lost_polls = 1
    document = await world.upload()
    async with world.consuming():
        await world.all_reach(document)


async def test_messages_of_one_answer_are_done_in_order_and_all_kept_hidden(world: World) -> None:
    world.model.gate.clear()
    owner, texts = uuid4(), [f"Note {number}." for number in range(3)]
    documents = [await world.upload(text, owner=owner) for text in texts]

    async def kept_hidden() -> bool:
        # Two that wait for the first, each at least twice as long as it would have stayed hidden by itself.
        return len(world.queue.hidden_for) >= 12

    async with world.consuming(world.consumer(slots=4, batch=4, visibility_seconds=1)):
        await world.all_reach(documents[0], status=S.ANALYZING)
        await until(kept_hidden)
        world.model.gate.set()
        await world.all_reach(*documents)
        await world.empties()
    assert (world.model.texts, world.model.most_at_once) == (texts, 1)
    assert len(world.queue.received) == 3


async def test_what_follows_a_message_that_comes_back_does_not_overtake_it(world: World) -> None:
    owner = uuid4()
    first, second = [await world.upload(text, owner=owner) for text in ("First.", "Second.")]
    claim = move(first, S.PROCESSING, at=utc_now(), lease=lease("somebody", at=utc_now(), seconds=1000))
    await commit(world.backends.documents, claim)

    async def both_given_back() -> bool:
        return len(world.queue.hidden_for) == 2

    async with world.consuming(world.consumer(slots=2, batch=2)):
        await until(both_given_back)
    assert (world.queue.hidden_for[1], await world.statuses(second)) == (0, [S.PENDING])


async def test_groups_of_one_answer_do_not_wait_for_each_other(world: World) -> None:
    world.model.gate.clear()
    documents = [await world.upload() for _ in range(3)]

    async def all_busy() -> bool:
        return world.model.at_once == 3

    async with world.consuming(world.consumer(slots=3, batch=3)):
        await until(all_busy)
        world.model.gate.set()
        await world.all_reach(*documents)


async def test_second_signal_gives_back_at_once_what_runs(world: World) -> None:
    world.model.gate.clear()
    document, consumer = await world.upload(), world.consumer()
    async with world.consuming(consumer, grace_seconds=1000) as stopping:
        await world.all_reach(document, status=S.ANALYZING)
        stopping.set()
        consumer.hurry()
    released = await world.backends.documents.get(document.id)
    assert released is not None
    assert (released.status, released.attempt) == (S.PENDING, 0)
