"""The paths of the protocol: what a document looks like before, who acts, and how it may end.

`prepare` runs in the test, `act` in the process that dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from aiobotocore.session import get_session

from shared.adapters.aws import client_options
from shared.clock import utc_now
from shared.document import TOMBSTONE_KEPT_FOR, Document
from shared.messages import ProcessMessage
from tests.chaos.stage import SLOWLY, Stage
from tests.support.builders import S

# Further than any grace, lease or pause: whatever was left to somebody else is due by then.
LATER = timedelta(hours=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """`ends` are the statuses that the document may have in the end; S.DELETING stands for no more than a tombstone.

    `repeated`: whoever asked for it does not know what has come of it, and asks again. `opening` are the first words of
    the document.
    """

    prepare: Callable[[Stage], Awaitable[Document | None]]
    act: Callable[[Stage], Awaitable[object]]
    ends: frozenset[S]
    repeated: bool = False
    later: timedelta = timedelta(0)
    lease_seconds: int = 60
    opening: str = ""


async def nothing(_stage: Stage) -> None: ...


async def upload(stage: Stage) -> str:
    answer = await stage.send("POST", "/documents", files={"file": ("note.txt", stage.text.encode())})
    document_id: str = answer.raise_for_status().json()["id"]
    return document_id


def asking(method: str, path: str) -> Callable[[Stage], Awaitable[object]]:
    async def ask(stage: Stage) -> object:
        return await stage.send(method, path)

    return ask


async def sweep(stage: Stage) -> None:
    await stage.worker().reconciler.sweep(asyncio.Event())


async def bury(stage: Stage) -> None:
    await stage.worker().dead_letters.drain()


async def give_back(stage: Stage) -> None:
    await stage.consume(stage.worker(), stopped=True)


async def received_often(stage: Stage) -> Document:
    """The document had to wait before, so often that the queue will soon give up on its message."""
    document, queue = await stage.queued(), stage.backends.queue
    for _ in range(15):
        (delivery,) = await queue.receive(limit=1, wait_seconds=5, visibility_seconds=60)
        await queue.extend(delivery.receipt, visibility_seconds=0)
    return document


async def other_bytes(stage: Stage) -> Document:
    """What is in the bucket is not what was uploaded."""
    document = await stage.queued()
    await stage.backends.blobs.put(document.blob_key, b"Something else.", content_type="text/plain")
    return document


async def spent(stage: Stage) -> Document:
    """Every attempt has ended with its worker."""
    lost = [S.PROCESSING] * stage.settings.max_attempts
    return await stage.document(S.UPLOADED, S.PENDING, *lost)


async def dead(stage: Stage) -> Document:
    """The queue has given up on the message."""
    document = await stage.document(S.UPLOADED, S.PENDING)
    message = ProcessMessage(document_id=document.id, run=document.run, send=document.send, at=utc_now())
    async with get_session().create_client("sqs", **client_options(stage.settings)) as client:
        url = (await client.get_queue_url(QueueName=f"{stage.settings.queue_name}-dead.fifo"))["QueueUrl"]
        await client.send_message(
            QueueUrl=url,
            MessageBody=message.model_dump_json(),
            MessageGroupId="dead",
            MessageDeduplicationId=uuid4().hex,
        )
    return document


async def in_the_bucket(stage: Stage) -> Document:
    """The file has come past the API."""
    return await stage.document(filename="note.txt")


async def tombstone(stage: Stage) -> Document:
    document = await stage.document(S.DELETING)
    await stage.backends.documents.entomb(document, now=utc_now())
    return document


def on_the_way(*path: S) -> Callable[[Stage], Awaitable[Document]]:
    async def prepare(stage: Stage) -> Document:
        return await stage.document(*path)

    return prepare


COMPLETED, FAILED, GONE = frozenset({S.COMPLETED}), frozenset({S.FAILED}), frozenset({S.DELETING})
PENDING = (S.UPLOADED, S.PENDING)

SCENARIOS = {
    "upload": Scenario(prepare=nothing, act=upload, ends=COMPLETED, repeated=True),
    "finish a form's upload": Scenario(
        prepare=in_the_bucket, act=asking("POST", "/documents/{}/uploaded"), repeated=True, ends=COMPLETED
    ),
    "work": Scenario(prepare=Stage.queued, act=Stage.work, ends=COMPLETED),
    "work slowly": Scenario(prepare=Stage.queued, act=Stage.work, ends=COMPLETED, lease_seconds=2, opening=SLOWLY),
    "fail": Scenario(prepare=other_bytes, act=Stage.work, ends=FAILED),
    "give back": Scenario(prepare=Stage.queued, act=give_back, ends=COMPLETED),
    "wait for long": Scenario(prepare=received_often, act=give_back, ends=COMPLETED),
    "send again": Scenario(prepare=on_the_way(*PENDING), act=sweep, later=LATER, ends=COMPLETED),
    "give up": Scenario(prepare=spent, act=sweep, later=LATER, ends=FAILED),
    "abandon": Scenario(prepare=on_the_way(), act=sweep, later=LATER, ends=GONE),
    "erase": Scenario(prepare=on_the_way(*PENDING, S.DELETING), act=sweep, ends=GONE),
    "remove tombstone": Scenario(prepare=tombstone, act=sweep, later=TOMBSTONE_KEPT_FOR + LATER, ends=GONE),
    "dead letter": Scenario(prepare=dead, act=bury, ends=FAILED | COMPLETED),
    "restart": Scenario(
        prepare=on_the_way(*PENDING, S.FAILED),
        act=asking("POST", "/documents/{}/process"),
        repeated=True,
        ends=COMPLETED,
    ),
    "cancel": Scenario(
        prepare=Stage.queued, act=asking("POST", "/documents/{}/cancel"), repeated=True, ends=frozenset({S.CANCELLED})
    ),
    "delete": Scenario(prepare=Stage.queued, act=asking("DELETE", "/documents/{}"), repeated=True, ends=GONE),
}
