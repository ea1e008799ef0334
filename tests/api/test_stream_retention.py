"""`GET /documents/stream` when what a client has missed is no longer kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from api_service.event_stream import Beginning, Stream
from api_service.frames import BYE, Encoder
from api_service.hub import Hub, Listener
from shared.events import FEED_KEPT_FOR, FeedEvent, FeedHead
from tests.support.builders import NOW, S, move, moves
from tests.support.callers import Caller
from tests.support.sse import listening

THEN = NOW + FEED_KEPT_FOR + timedelta(hours=2)
LATER = NOW + timedelta(days=1)


async def trim(me: Caller) -> None:
    while await me.backends.retention.trim(now=THEN):
        continue


def a_listener(me: Caller) -> Listener:
    ends_at = asyncio.get_running_loop().time() + 300
    return Listener(owner=me.user.id, ends_at=ends_at, farewell=BYE, wanted=lambda _: True)


async def test_client_that_slept_too_long_gets_one_reset_and_goes_on(me: Caller) -> None:
    document = await me.document(S.PROCESSING)
    async with listening(me.client, cursor="0") as stream:
        first, *_ = await stream.events(3)
    young = move(document, S.ANALYZING, at=LATER)
    await me.backends.documents.apply(young)
    await trim(me)
    async with listening(me.client, last_event_id=first.id) as stream:
        await me.backends.documents.apply(move(young.after, S.COMPLETED, at=LATER))
        reset, completed = await stream.events(2)
    current = reset.data["cursor"]
    assert (reset.event, reset.id, completed.data["status"]) == ("reset", None, "completed")
    async with listening(me.client, last_event_id=current) as stream:
        (again,) = await stream.events(1)
    assert again.raw == completed.raw


class TrimmingFeed:
    """A feed that is trimmed right before it is read: between a listener's head and its replay."""

    def __init__(self, me: Caller) -> None:
        self._me = me

    async def heads(self, owners: Sequence[UUID]) -> Mapping[UUID, FeedHead]:
        return await self._me.backends.feed.heads(owners)

    async def owners(self) -> list[UUID]:
        return await self._me.backends.feed.owners()

    async def events(self, owner: UUID, *, after: int, limit: int) -> list[FeedEvent]:
        await trim(self._me)
        return await self._me.backends.feed.events(owner, after=after, limit=limit)


async def test_feed_that_is_trimmed_during_a_replay_leads_to_a_reset_and_to_no_gap(me: Caller) -> None:
    document = await me.document(S.PROCESSING)
    feed, encoder = TrimmingFeed(me), Encoder(documents=me.backends.documents)
    hub = Hub(feed=feed, encoder=encoder, tick_seconds=0.01, heartbeat_seconds=15)
    listener = a_listener(me)
    head = await hub.join(listener)
    await me.backends.documents.apply(*moves(document, S.ANALYZING, S.COMPLETED, at=LATER))
    running = asyncio.create_task(hub.run())
    chunks = Stream(feed=feed, encoder=encoder).chunks(listener, begin=Beginning.at("0", head), head=head)
    seen = b""
    async with asyncio.timeout(30):
        while b".5\n" not in seen:
            seen += await anext(chunks)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    told = [line for line in seen.decode().splitlines() if line.startswith(("id:", "event:"))]
    assert told == [
        *("event: reset",),
        *(f"id: {head.epoch}.4", "event: status"),
        *(f"id: {head.epoch}.5", "event: status"),
    ]


async def test_listeners_of_a_feed_that_nobody_could_read_in_time_are_sent_back(me: Caller) -> None:
    hub = Hub(
        feed=TrimmingFeed(me),
        encoder=Encoder(documents=me.backends.documents),
        tick_seconds=0.01,
        heartbeat_seconds=15,
    )
    listener = a_listener(me)
    await hub.join(listener)
    await me.document(S.PENDING)
    running = asyncio.create_task(hub.run())
    async with asyncio.timeout(30):
        assert await listener.take() == [BYE, None]
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
