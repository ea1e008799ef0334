"""One table of what may happen to a message, for the polling consumer and for Lambda, on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiobotocore.session import get_session

from shared.adapters.aws import client_options
from shared.adapters.sqs import SQSJobQueue
from shared.analysis import Report
from shared.bootstrap import Backends, open_backends
from shared.clock import utc_now, uuid7
from shared.document import Document, DocumentStatus, blob_prefix
from shared.errors import CorruptError, LLMRateLimitedError
from shared.moves import commit, dispatch
from shared.settings import Settings
from tests.contracts.conftest import on_dynamodb
from tests.support.builders import lease, move, moves, new_document, report
from tests.support.runners import Lambda, Polling, Runner
from tests.support.running import until
from tests.support.staged import with_parts
from worker_service.assembly import Worker, assemble
from worker_service.extractors import Extraction

S = DocumentStatus


class PlainText:
    async def extract(self, data: bytes, content_type: str) -> Extraction:  # noqa: ARG002 - the port has it
        if b"damaged" in data:
            raise CorruptError
        return Extraction(text=data.decode())


@dataclass
class Model:
    """Notes what it is asked. It has `busy` come again once, fails at each `bug`, and never answers to `forever`."""

    name: str = "offline"
    asked: list[str] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...

    async def analyze(self, extraction: Extraction, **given: object) -> Report:  # noqa: ARG002
        self.asked.append(extraction.text)
        self.begun.set()
        if extraction.text == "busy" and self.asked.count("busy") == 1:
            raise LLMRateLimitedError(retry_after_seconds=1)
        if extraction.text == "bug":
            raise RuntimeError
        if extraction.text == "forever":
            await asyncio.Event().wait()
        return report()


@dataclass
class World:
    """One store, a queue of the test's own, and a worker that is given its messages by `runner`."""

    settings: Settings
    backends: Backends
    client: Any
    runner: Runner
    model: Model = field(default_factory=Model)

    @property
    def worker(self) -> Worker:
        made = assemble(self.settings, self.backends)
        pipeline = with_parts(made.handler.pipeline, extractor=PlainText(), analyzer=self.model)
        return replace(made, handler=replace(made.handler, pipeline=pipeline))

    async def pending(self, text: str, *, owner: UUID | None = None) -> Document:
        owner, document_id, body = owner or uuid4(), uuid7(), text.encode()
        document = new_document(
            id=document_id,
            owner=owner,
            at=utc_now(),
            size=len(body),
            sha256=sha256(body).hexdigest(),
            blob_key=f"{blob_prefix(owner, document_id)}original",
        )
        await self.backends.blobs.put(document.blob_key, body, content_type="text/plain")
        await self.backends.documents.insert(document)
        return await commit(self.backends.documents, *moves(document, S.UPLOADED, S.PENDING, at=utc_now()))

    async def sent(self, text: str, *, owner: UUID | None = None) -> Document:
        document = await self.pending(text, owner=owner)
        await self.send(document)
        return document

    async def send(self, document: Document) -> None:
        await dispatch(document, queue=self.backends.queue, documents=self.backends.documents, clock=utc_now)

    async def send_unknown(self, *, owner: UUID) -> None:
        """Send what no version of ours has written, into an owner's lane."""
        place = {"MessageGroupId": f"{owner}#0", "MessageDeduplicationId": str(uuid4())}
        await self.client.send_message(QueueUrl=await self.url(), MessageBody="{}", **place)

    async def receive_in_vain(self, times: int) -> None:
        """As a worker would that gives back whatever it is given."""
        for _ in range(times):
            for delivery in await self.backends.queue.receive(limit=10, wait_seconds=0, visibility_seconds=30):
                await self.backends.queue.extend(delivery.receipt, visibility_seconds=0)

    async def run(self) -> None:
        """Until the queue has neither waiting nor hidden messages."""

        async def empty() -> bool:
            return await self.messages() == (0, 0)

        await self.runner.run(self.worker, self.settings, done=empty)

    async def messages(self, which: str = "") -> tuple[int, int]:
        """How many messages wait, and how many are hidden."""
        answer = await self.client.get_queue_attributes(QueueUrl=await self.url(which), AttributeNames=["All"])
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        waiting, hidden = (int(answer["Attributes"][name]) for name in names)
        return waiting, hidden

    async def url(self, which: str = "") -> str:
        answer = await self.client.get_queue_url(QueueName=f"{self.settings.queue_name}{which}.fifo")
        return str(answer["QueueUrl"])

    async def now(self, document: Document) -> Document:
        stored = await self.backends.documents.get(document.id)
        assert stored is not None
        return stored

    async def path(self, document: Document) -> list[str]:
        return [str(entry.status) for entry in await self.backends.documents.history(document.id)]


@pytest.fixture(scope="session")
async def opened(stack_settings: Settings) -> AsyncIterator[dict[str, Backends]]:
    dynamodb = await on_dynamodb(stack_settings)
    async with open_backends(stack_settings) as postgres, open_backends(dynamodb) as table:
        yield {"postgres": postgres, "dynamodb": table}


@pytest.fixture(params=["postgres", "dynamodb"])
async def world(
    request: pytest.FixtureRequest, runner: Runner, stack_settings: Settings, opened: dict[str, Backends]
) -> AsyncIterator[World]:
    settings = stack_settings.model_copy(update={"queue_name": f"q{uuid4().hex[:12]}"})
    async with get_session().create_client("sqs", **client_options(settings)) as client:
        queue = SQSJobQueue(client=client, name=settings.queue_name, kind="fifo", order="owner", lanes=1)
        await queue.create()
        yield World(
            settings, replace(opened[str(request.param)], queue=queue, dead_letters=queue.dead_letters), client, runner
        )


BATCHES = pytest.mark.parametrize("runner", [Polling(batch=10), Lambda()], ids=["polling", "lambda"], indirect=True)


@pytest.fixture(params=[Polling(), Lambda()], ids=["polling", "lambda"])
def runner(request: pytest.FixtureRequest) -> Runner:
    made: Runner = request.param
    return made


async def test_document_is_completed_and_its_message_deleted(world: World) -> None:
    document = await world.sent("A note.")
    await world.run()
    assert await world.path(document) == ["uploaded", "pending", "processing", "analyzing", "completed"]


async def test_damaged_document_fails_with_its_cause_and_its_message_is_deleted(world: World) -> None:
    document = await world.sent("damaged")
    await world.run()
    failed = await world.now(document)
    assert failed.failure is not None
    assert (failed.status, failed.failure.code) == (S.FAILED, "corrupt")


async def test_failed_document_of_a_batch_takes_no_other_with_it(world: World) -> None:
    owner = uuid4()
    documents = [await world.sent(text, owner=owner) for text in ("one", "damaged", "three")]
    await world.run()
    assert [(await world.now(one)).status for one in documents] == [S.COMPLETED, S.FAILED, S.COMPLETED]


async def test_message_that_comes_again_holds_its_own_group_and_no_other(world: World) -> None:
    owner = uuid4()
    first, second = [await world.sent(text, owner=owner) for text in ("busy", "after it")]
    other = await world.sent("of another owner")
    await world.run()
    assert [(await world.now(one)).status for one in (first, second, other)] == [S.COMPLETED] * 3
    # The groups of one batch come in any order, the messages of a group in theirs.
    assert [text for text in world.model.asked if text != "of another owner"] == ["busy", "busy", "after it"]
    assert (await world.now(first)).attempt == 1


async def test_message_of_a_completed_document_is_deleted_and_changes_nothing(world: World) -> None:
    document = await world.sent("A note.")
    await world.run()
    done = await world.now(document)
    await world.send(replace(document, send=2))
    await world.run()
    assert await world.now(document) == done


async def test_document_of_a_dead_worker_is_claimed_again(world: World) -> None:
    document = await world.pending("A note.")
    long_ago = lease("dead", at=utc_now(), seconds=-60)
    await commit(world.backends.documents, move(document, S.PROCESSING, at=utc_now(), lease=long_ago))
    await world.send(document)
    await world.run()
    done = await world.now(document)
    assert (done.status, done.attempt) == (S.COMPLETED, 2)


async def test_message_of_a_document_that_another_worker_holds_is_hidden_until_its_lease_ends(world: World) -> None:
    document = await world.pending("A note.")
    held = lease("another", at=utc_now(), seconds=60)
    claimed = await commit(world.backends.documents, move(document, S.PROCESSING, at=utc_now(), lease=held))
    await world.send(document)

    async def hidden() -> bool:
        return await world.messages() == (0, 1)

    await world.runner.run(world.worker, world.settings, done=hidden)
    left = await world.now(document)
    assert (left.status, left.attempt, left.lease) == (S.PROCESSING, 1, claimed.lease)
    assert world.model.asked == []


async def test_message_that_is_not_ours_reaches_the_dead_letters(world: World) -> None:
    await world.send_unknown(owner=uuid4())
    await world.run()
    assert await world.messages("-dead") == (1, 0)


@BATCHES
async def test_message_that_is_not_ours_holds_up_nothing_behind_it(world: World) -> None:
    owner, texts = uuid4(), ["one", "two", "three"]
    await world.send_unknown(owner=owner)
    documents = [await world.sent(text, owner=owner) for text in texts]
    await world.run()
    assert {(await world.now(one)).status for one in documents} == {S.COMPLETED}
    assert world.model.asked == texts
    assert await world.messages("-dead") == (1, 0)


@BATCHES
async def test_message_that_came_often_goes_for_the_next_attempt_and_those_behind_it_are_done(world: World) -> None:
    owner = uuid4()
    failing, second, third = [await world.sent(text, owner=owner) for text in ("bug", "two", "three")]
    await world.receive_in_vain(17)
    await world.run()
    tried = await world.now(failing)
    assert (tried.status, tried.attempt) == (S.PENDING, 1)
    assert tried.due_at
    assert tried.due_at < utc_now() + timedelta(seconds=60)
    assert [(await world.now(one)).status for one in (second, third)] == [S.COMPLETED] * 2
    assert await world.messages("-dead") == (0, 0)


@BATCHES
async def test_message_that_came_often_goes_at_a_stop_although_nobody_has_begun_with_it(world: World) -> None:
    owner = uuid4()
    documents = [await world.sent(text, owner=owner) for text in ("forever", "after it", "after that")]
    await world.receive_in_vain(17)
    await world.runner.run_and_stop(world.worker, world.settings, begun=world.model.begun)
    assert [(await world.now(one)).attempt for one in documents] == [0, 0, 0]
    assert all([(await world.now(one)).due_at for one in documents])
    assert (await world.messages(), await world.messages("-dead")) == ((0, 0), (0, 0))


async def test_stop_gives_back_what_is_under_way_and_burns_no_attempt(world: World) -> None:
    owner = uuid4()
    document, behind = [await world.sent(text, owner=owner) for text in ("forever", "after it")]
    await world.runner.run_and_stop(world.worker, world.settings, begun=world.model.begun)
    released = await world.now(document)
    assert (released.status, released.attempt, released.lease) == (S.PENDING, 0, None)
    assert (await world.now(behind)).attempt == 0
    assert await world.messages() == (2, 0)


@pytest.mark.parametrize(("world", "runner"), [("postgres", Lambda())], indirect=True)
async def test_function_that_is_killed_at_once_holds_its_message_no_longer_than_its_lease(world: World) -> None:
    world.settings = world.settings.model_copy(update={"lease_seconds": 3})
    await world.sent("forever")
    await Lambda().run_and_kill(world.worker, world.settings, begun=world.model.begun)

    async def back() -> bool:
        return await world.messages() == (1, 0)

    await until(back)
