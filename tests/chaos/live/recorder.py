"""Follows a scenario's feeds until all that was promised has ended, waits for quiet, and writes the history down."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import boto3

from shared.bootstrap import Backends
from shared.clock import utc_now
from shared.document import TERMINAL, Document, DocumentStatus
from shared.errors import BackendUnavailableError
from shared.events import DELETED, FeedEvent
from shared.ledger import Call
from shared.lists import ListFilter
from shared.settings import Settings
from tests.chaos.history import Answer, Billed, History, Left, Life, Seen
from tests.chaos.live.clients import Caller
from tests.chaos.live.waiting import holds
from tests.support.openai_server import OpenAIServer

_ENDS = {*TERMINAL, DELETED}
_BILLED = {"ok", "slow"}
_REFERENCE = re.compile(r"Reference: (\S+)")
_AT_ONCE = 16
# What the sweep puts off for longer than this is nobody's work: a tombstone.
_DUE_SOON = timedelta(days=1)


@dataclass(kw_only=True)
class Recorder:
    """Reads the stores directly, without faults."""

    settings: Settings
    backends: Backends
    owners: Sequence[UUID]
    _events: dict[UUID, list[FeedEvent]] = field(default_factory=dict)
    _status: dict[UUID, str] = field(default_factory=dict)

    async def follow(self) -> None:
        """Read what is new in the feeds; a store that is just being restarted is read the next time."""
        with suppress(BackendUnavailableError):
            heads = await self.backends.feed.heads(self.owners)
            for owner in self.owners:
                events = self._events.setdefault(owner, [])
                if heads[owner].seq > len(events):
                    events += await self.backends.feed.events(owner, after=len(events), limit=10_000)
                    self._status.update((event.document_id, event.status) for event in events)

    def status(self, document_id: UUID) -> str | None:
        return self._status.get(document_id)

    async def until_ended(self, promised: Iterable[UUID], *, seconds: float) -> bool:
        """Wait until every promised document has ended; False when the time is up."""
        waiting, deadline = set(promised), time.monotonic() + seconds
        while waiting and time.monotonic() < deadline:
            await self.follow()
            before = len(waiting) // 100
            waiting = {one for one in waiting if self._status.get(one) not in _ENDS}
            if len(waiting) // 100 != before:
                print(f"  {len(waiting)} documents have not ended", file=sys.stderr)
            await asyncio.sleep(0.3)
        return not waiting

    async def all_seen(self, user: Caller, *, seconds: float = 30) -> tuple[Seen, ...]:
        """Wait until the user's stream has brought as much as the feed holds, or the time is up."""
        await self.follow()
        await holds(lambda: len(user.seen) >= len(self._events[user.id]), seconds=seconds)
        return tuple(user.seen)

    async def until_quiet(self, *, seconds: float) -> Left:
        """Wait until nothing is due and the queue is empty, or the time is up; returns what is left."""
        deadline = time.monotonic() + seconds
        while True:
            left = await self.left()
            if not (left.visible or left.in_flight or left.due) or time.monotonic() > deadline:
                return left
            await asyncio.sleep(0.3)

    async def in_flight(self) -> int:
        return (await asyncio.to_thread(_messages, self.settings))[1]

    async def history(self, answers: Sequence[Answer], *, left: Left, **facts: Any) -> History:
        """`facts` are what the stores cannot tell."""
        await self.follow()
        self._events.clear()
        await self.follow()
        promised = {answer.document_id for answer in answers} - {None}
        listed = [document_id for owner in self.owners for document_id in await self._listed(owner)]
        lives = await self._lives({one for one in (*promised, *listed) if one is not None})
        return History(
            answers=tuple(answers),
            lives=lives,
            ledger=await self._ledger(lives.values()),
            feeds={owner: tuple(events) for owner, events in self._events.items()},
            left=left,
            lease_seconds=self.settings.lease_seconds,
            **facts,
        )

    async def _lives(self, document_ids: Iterable[UUID]) -> dict[UUID, Life]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def life(document_id: UUID) -> Life | None:
            async with turns:
                document = await self.backends.documents.get(document_id)
                entries = await self.backends.documents.history(document_id)
                return Life(document=document, entries=tuple(entries)) if document else None

        found = await asyncio.gather(*map(life, document_ids))
        return {one.document.id: one for one in found if one is not None}

    async def _ledger(self, lives: Iterable[Life]) -> tuple[Call, ...]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def calls(document: Document, run: int) -> list[Call]:
            async with turns:
                return await self.backends.ledger.calls(document.id, run=run)

        runs = [(life.document, run) for life in lives for run in range(1, life.document.run + 1)]
        found = await asyncio.gather(*(calls(document, run) for document, run in runs))
        return tuple(call for some in found for call in some)

    async def _listed(self, owner: UUID) -> list[UUID]:
        everything = ListFilter()
        return [one.id for one in await self.backends.documents.page(owner, where=everything, limit=10_000, after=None)]

    async def left(self) -> Left:
        """What somebody still has to do something about."""
        visible, in_flight, dead = await asyncio.to_thread(_messages, self.settings)
        due = await self.backends.documents.due(now=utc_now() + _DUE_SOON, limit=1_000)
        keys = await asyncio.to_thread(_keys, self.settings)
        # Who is uploading was promised nothing yet.
        waiting = tuple(one.id for one in due if one.status is not DocumentStatus.UPLOADING)
        return Left(visible=visible, in_flight=in_flight, dead=dead, due=waiting, keys=keys)


def billed_by(model: OpenAIServer) -> tuple[Billed, ...]:
    """The provider's billing journal: what it answered, by what the document says of itself."""
    return tuple(
        Billed(
            id=call.request_id,
            name=reference[1],
            input_tokens=call.input_tokens,
            output_tokens=call.output_tokens,
        )
        for call in model.calls
        if call.outcome.partition(":")[0] in _BILLED and (reference := _REFERENCE.search(call.messages[-1]))
    )


def text_of(name: str) -> str:
    """A short document of its own, which tells the provider's journal whose call it was."""
    return f"Reference: {name}\nThe turbine hall was inspected in March. Ada will repair the {name} pump by Friday.\n"


def _client(service: Any, settings: Settings) -> Any:
    return boto3.client(
        service,
        region_name=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def _messages(settings: Settings) -> tuple[int, int, int]:
    """Messages in the queue that are visible, those in flight, and those in the dead-letter queue."""
    sqs = _client("sqs", settings)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = []
    for name in (settings.queue_name, f"{settings.queue_name}-dead"):
        url = sqs.get_queue_url(QueueName=f"{name}.fifo")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        counts += [int(attributes[one]) for one in names]
    return counts[0], counts[1], counts[2] + counts[3]


def _keys(settings: Settings) -> tuple[str, ...]:
    pages = _client("s3", settings).get_paginator("list_objects_v2").paginate(Bucket=settings.bucket)
    return tuple(entry["Key"] for page in pages for entry in page.get("Contents", []))
