"""Uploads that take longer than the due sweep waits for one, and files that seem to be lost on their way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import pytest

from api_service.intake import Intake, Upload
from api_service.multipart import Part
from api_service.quotas import Quotas
from shared.adapters.sqs import SQSJobQueue
from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.document import Document, DocumentStatus
from shared.errors import BackendUnavailableError
from shared.lists import ListFilter
from shared.messages import ProcessMessage
from shared.ports import BlobStore
from shared.settings import Settings
from tests.support.builders import move, new_document


class Clock:
    """A time that only the test moves."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now


def intake_of(settings: Settings, backends: Backends, clock: Clock) -> Intake:
    return Intake(
        documents=backends.documents,
        blobs=backends.blobs,
        queue=backends.queue,
        quotas=Quotas.of(settings, backends.documents),
        clock=clock,
        new_id=uuid7,
    )


@dataclass(kw_only=True)
class Replyless:
    """The real bucket, whose replies are lost; what happens meanwhile is the test's."""

    blobs: BlobStore
    meanwhile: Callable[[], Awaitable[object]]

    async def put(self, key: str, body: BytesIO, **facts: Any) -> None:
        await self.blobs.put(key, body, **facts)
        await self.meanwhile()
        raise BackendUnavailableError


async def one_file(part: Part) -> AsyncIterator[Part]:
    yield part


def text_part() -> Part:
    part = Part(name="file", filename="note.txt", max_bytes=100)
    part.feed(memoryview(b"Pumps need oil."))
    return part


async def test_file_whose_storing_seemed_to_fail_is_taken_from_view_and_left_to_the_sweep(
    stack_settings: Settings, backends: Backends
) -> None:
    owner, clock = uuid4(), Clock()
    seen: list[Document] = []

    async def look() -> None:
        seen.extend(await backends.documents.page(owner, where=ListFilter(), limit=1, after=None))

    blobs: Any = Replyless(blobs=backends.blobs, meanwhile=look)
    intake = replace(intake_of(stack_settings, backends, clock), blobs=blobs)
    with pytest.raises(BackendUnavailableError):
        await intake.stage(Upload(), one_file(text_part()), owner=owner, max_files=1, key_hash=None)
    [staged] = seen
    left = await backends.documents.get(staged.id)
    assert left is not None
    assert (left.status, left.due_at) == (DocumentStatus.DELETING, clock.now)
    assert await backends.documents.page(owner, where=ListFilter(), limit=1, after=None) == []


async def test_file_of_a_request_sent_twice_stays_though_the_slower_one_fails(
    stack_settings: Settings, backends: Backends
) -> None:
    owner, upload = uuid4(), Upload()
    faster = intake_of(stack_settings, backends, Clock())
    once: Any = {"owner": owner, "max_files": 1, "key_hash": uuid4().hex}

    async def be_faster() -> None:
        await faster.stage(upload, one_file(text_part()), **once)
        await faster.commit(upload.documents, folder="", process=False, profile="default")

    blobs: Any = Replyless(blobs=backends.blobs, meanwhile=be_faster)
    with pytest.raises(BackendUnavailableError):
        await replace(faster, blobs=blobs).stage(Upload(), one_file(text_part()), **once)
    kept = await backends.documents.get(upload.documents[0].id)
    assert kept is not None
    assert kept.status is DocumentStatus.UPLOADED
    assert await backends.blobs.get(kept.blob_key) == b"Pumps need oil."


async def test_queue_that_is_away_is_asked_once_for_all_files_of_a_request(
    stack_settings: Settings, backends: Backends
) -> None:
    tried: list[ProcessMessage] = []

    class Away(SQSJobQueue):
        async def send(self, message: ProcessMessage, *, owner: UUID) -> None:  # noqa: ARG002 - the port's
            tried.append(message)
            raise BackendUnavailableError

    queue: Any = Away.__new__(Away)
    intake = replace(intake_of(stack_settings, backends, Clock()), queue=queue)
    staged = [new_document(owner=uuid4(), at=utc_now()) for _ in range(3)]
    for document in staged:
        await backends.documents.insert(document)
    committed = await intake.commit(staged, folder="", process=True, profile="default")
    assert [one.status for one in committed] == [DocumentStatus.PENDING] * 3
    assert [message.document_id for message in tried] == [staged[0].id]
    assert all(one.due_at is not None for one in committed)


async def test_sweep_keeps_its_hands_off_the_first_file_while_others_come(
    stack_settings: Settings, backends: Backends
) -> None:
    clock = Clock()
    document = new_document(owner=uuid4(), at=clock.now)
    assert await backends.documents.insert(document)

    intake, upload = intake_of(stack_settings, backends, clock), Upload(documents=[document])
    for _ in range(60):
        clock.now += timedelta(minutes=1)
        await intake.hold(upload)
        stored = await backends.documents.get(document.id)
        assert stored is not None
        assert stored.due_at is not None
        assert stored.due_at > clock.now
    [committed] = await intake.commit([document], folder="", process=False, profile="default")
    assert committed.status is DocumentStatus.UPLOADED


async def test_file_that_an_earlier_try_has_left_is_held_like_the_others(
    stack_settings: Settings, backends: Backends
) -> None:
    clock, once = Clock(), {"owner": uuid4(), "max_files": 1, "key_hash": uuid4().hex}
    intake = intake_of(stack_settings, backends, clock)
    first, second = Upload(), Upload()
    for upload, later in ((first, timedelta(0)), (second, timedelta(minutes=14))):
        clock.now += later
        await intake.hold(upload)
        await intake.stage(upload, one_file(text_part()), **once)  # type: ignore[arg-type]
    assert [one.id for one in second.documents] == [one.id for one in first.documents]
    await intake.hold(second)
    stored = await backends.documents.get(second.documents[0].id)
    assert stored is not None
    assert stored.due_at == clock.now + timedelta(minutes=15)


async def test_file_that_was_taken_away_meanwhile_is_not_answered_as_accepted(
    stack_settings: Settings, backends: Backends
) -> None:
    document = new_document(owner=uuid4(), at=utc_now())
    assert await backends.documents.insert(document)
    await backends.documents.apply(move(document, DocumentStatus.DELETING))
    intake = intake_of(stack_settings, backends, Clock())
    with pytest.raises(BackendUnavailableError):
        await intake.commit([document], folder="", process=True, profile="default")
