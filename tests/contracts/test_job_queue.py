"""What every job queue promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from aiobotocore.session import get_session

from shared.adapters.aws import client_options
from shared.bootstrap import Backends, _queue
from shared.messages import ProcessMessage
from shared.ports import Delivery
from shared.settings import Settings
from tests.support.builders import NOW


def message(*, document_id: UUID | None = None, send: int = 1) -> ProcessMessage:
    return ProcessMessage(document_id=document_id or uuid4(), run=1, send=send, at=NOW)


@pytest.fixture
def store() -> str:
    """A queue is the same beside any store."""
    return "postgres"


@dataclass(frozen=True)
class Receiver:
    backends: Backends

    async def take(self, *, limit: int = 10, visibility_seconds: int = 60) -> list[Delivery]:
        return await self.backends.queue.receive(limit=limit, wait_seconds=1, visibility_seconds=visibility_seconds)


@pytest.fixture
def receiver(own_backends: Backends) -> Receiver:
    return Receiver(own_backends)


def ids(deliveries: Sequence[Delivery]) -> list[UUID]:
    return [ProcessMessage.model_validate_json(delivery.body).document_id for delivery in deliveries]


async def test_message_arrives_whole_and_small(own_backends: Backends, receiver: Receiver) -> None:
    sent = message()
    await own_backends.queue.send(sent, owner=uuid4())
    (delivery,) = await receiver.take()
    assert ProcessMessage.model_validate_json(delivery.body) == sent
    assert len(delivery.body) < 1024
    assert delivery.receive_count == 1


async def test_one_owner_is_served_one_at_a_time_in_order(own_backends: Backends, receiver: Receiver) -> None:
    owner, sent = uuid4(), [message() for _ in range(3)]
    for one in sent:
        await own_backends.queue.send(one, owner=owner)
    seen = []
    for _ in sent:
        (delivery,) = await receiver.take(limit=1)
        assert await own_backends.queue.receive(limit=10, wait_seconds=0, visibility_seconds=60) == []
        seen += ids([delivery])
        await own_backends.queue.delete(delivery.receipt)
    assert seen == [one.document_id for one in sent]


async def test_owners_do_not_wait_for_each_other(own_backends: Backends, receiver: Receiver) -> None:
    sent = [message() for _ in range(3)]
    for one in sent:
        await own_backends.queue.send(one, owner=uuid4())
    deliveries = [delivery for _ in sent for delivery in await receiver.take(limit=1)]
    assert sorted(ids(deliveries)) == sorted(one.document_id for one in sent)


async def test_released_message_comes_back_and_is_counted(own_backends: Backends, receiver: Receiver) -> None:
    await own_backends.queue.send(message(), owner=uuid4())
    (first,) = await receiver.take()
    await own_backends.queue.extend(first.receipt, visibility_seconds=0)
    (second,) = await receiver.take()
    assert (second.body, second.receive_count) == (first.body, 2)


async def test_stale_receipt_is_ignored(own_backends: Backends, receiver: Receiver) -> None:
    await own_backends.queue.send(message(), owner=uuid4())
    (first,) = await receiver.take()
    await own_backends.queue.extend(first.receipt, visibility_seconds=0)
    (second,) = await receiver.take()
    await own_backends.queue.delete(second.receipt)
    await own_backends.queue.delete(first.receipt)
    await own_backends.queue.extend(first.receipt, visibility_seconds=5)


async def test_same_send_is_delivered_once_and_a_resend_again(own_backends: Backends, receiver: Receiver) -> None:
    document_id, owner = uuid4(), uuid4()
    for send in (1, 1, 2):
        await own_backends.queue.send(message(document_id=document_id, send=send), owner=owner)
    sends = []
    for _ in range(2):
        (delivery,) = await receiver.take(limit=1)
        sends.append(ProcessMessage.model_validate_json(delivery.body).send)
        await own_backends.queue.delete(delivery.receipt)
    assert sends == [1, 2]
    assert await own_backends.queue.receive(limit=1, wait_seconds=0, visibility_seconds=1) == []


async def test_lanes_let_one_owner_have_several_at_a_time(own_settings: Settings) -> None:
    owner, lanes = uuid4(), 4
    settings = own_settings.model_copy(update={"lanes_per_owner": lanes})
    async with _queue(settings, get_session()) as queue:
        for lane in range(lanes):
            await queue.send(message(document_id=UUID(int=(uuid4().int // lanes) * lanes + lane)), owner=owner)
        deliveries = [
            delivery
            for _ in range(lanes)
            for delivery in await queue.receive(limit=1, wait_seconds=1, visibility_seconds=60)
        ]
    assert len(deliveries) == lanes


async def test_messages_of_one_group_come_together_in_order_and_say_so(
    own_backends: Backends, receiver: Receiver
) -> None:
    owners = [uuid4(), uuid4()]
    sent = [(owner, message()) for owner in owners for _ in range(2)]
    for owner, one in sent:
        await own_backends.queue.send(one, owner=owner)
    came = [delivery for _ in owners for delivery in await receiver.take(limit=4)]
    for owner in owners:
        mine = [delivery for delivery in came if delivery.group == f"{owner}#0"]
        assert ids(mine) == [one.document_id for by, one in sent if by == owner]


async def test_global_order_is_one_group(own_settings: Settings) -> None:
    settings = own_settings.model_copy(update={"queue_order": "global"})
    async with _queue(settings, get_session()) as queue:
        for _ in range(2):
            await queue.send(message(), owner=uuid4())
        (first,) = await queue.receive(limit=1, wait_seconds=1, visibility_seconds=60)
        assert await queue.receive(limit=1, wait_seconds=0, visibility_seconds=60) == []
        await queue.delete(first.receipt)
        assert len(await queue.receive(limit=1, wait_seconds=1, visibility_seconds=60)) == 1


async def test_standard_queue_delivers_an_owners_messages_at_the_same_time(own_settings: Settings) -> None:
    owner, sent = uuid4(), [message() for _ in range(3)]
    settings = own_settings.model_copy(update={"queue_kind": "standard", "queue_name": f"{own_settings.queue_name}-s"})
    async with _queue(settings, get_session()) as queue:
        assert await queue.create()
        await queue.ping()
        for one in sent:
            await queue.send(one, owner=owner)
        came = [one for _ in sent for one in await queue.receive(limit=1, wait_seconds=1, visibility_seconds=60)]
    assert sorted(ids(came)) == sorted(one.document_id for one in sent)
    assert {delivery.group for delivery in came} == {None}


async def test_message_received_too_often_is_a_dead_letter(own_backends: Backends, receiver: Receiver) -> None:
    sent = message()
    await own_backends.queue.send(sent, owner=uuid4())
    while found := await receiver.take():
        await own_backends.queue.extend(found[0].receipt, visibility_seconds=0)
    (dead,) = await own_backends.dead_letters.receive(limit=10, wait_seconds=1, visibility_seconds=60)
    assert ids([dead]) == [sent.document_id]
    await own_backends.dead_letters.delete(dead.receipt)


async def test_setting_up_again_changes_nothing(own_settings: Settings) -> None:
    async with _queue(own_settings, get_session()) as queue:
        assert await queue.create() is False


def test_client_options_name_no_credentials_when_there_are_none() -> None:
    options = client_options(Settings.load(_env_file=None, aws_access_key_id=None, aws_secret_access_key=None))
    assert options["aws_access_key_id"] is None
    assert options["endpoint_url"] is None
