"""Nothing missed, nothing repeated: listeners that come and go while documents move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from starlette.types import Message

from api_service.event_stream import Beginning, EventStreamResponse, Stream
from api_service.frames import BYE, GREETING, HEARTBEAT, Encoder
from api_service.hub import Hub, Listener
from shared.bootstrap import Backends
from shared.document import Document
from shared.events import FeedEvent, FeedHead
from shared.ports import Feed
from tests.support.builders import S, move, moves, report
from tests.support.callers import Caller
from tests.support.sse import Block, listening

TWO_RUNS = (S.PENDING, S.PROCESSING, S.ANALYZING, S.COMPLETED) * 2 + (S.PENDING,)


def told(block: Block) -> tuple[int, str, str]:
    """What a frame says, as `Caller.events` says it: seq, document, status."""
    assert block.id is not None
    return int(block.id.partition(".")[2]), block.data["document_id"], block.data["status"]


async def everything(me: Caller, *, at_a_time: int, total: int) -> list[tuple[int, str, str]]:
    """What one client sees of a feed of `total` events when it hangs up after every few and resumes."""
    seen: list[Block] = []
    while len(seen) < total:
        last = seen[-1].id if seen else "0"
        async with listening(me.client, last_event_id=last) as stream:
            seen += await stream.events(min(at_a_time, total - len(seen)))
    return [told(block) for block in seen]


async def test_ten_clients_that_come_and_go_see_every_one_of_200_moves_once_and_in_order(me: Caller) -> None:
    async def two_runs() -> None:
        document = await me.document(S.UPLOADED)
        for status in TWO_RUNS:
            document = await me.move(document, status)

    async with asyncio.TaskGroup() as tasks:
        clients = [tasks.create_task(everything(me, at_a_time=number + 3, total=200)) for number in range(10)]
        for _ in range(20):
            tasks.create_task(two_runs())
    feed = await me.events()
    assert [seq for seq, _, _ in feed] == list(range(1, 201))
    for client in clients:
        assert client.result() == feed


async def test_client_that_does_not_read_is_cut_off_and_loses_nothing(me: Caller) -> None:
    """Results too large for any buffer, then more events than a listener's queue holds."""
    total = 5 * 20 + 2 + 1400
    async with listening(me.client) as idle, listening(me.client) as busy:
        reading = asyncio.create_task(busy.events(total))
        for _ in range(20):
            await a_large_run(me)
        small = await me.document(S.PENDING)
        await me.backends.documents.apply(*moves(small, *[S.PROCESSING, S.PENDING] * 700))
        assert [told(block)[0] for block in await reading] == list(range(1, total + 1))
        first = [block for block in await idle.until_cut() if block.event]
    assert 0 < len(first) < total
    assert [told(block)[0] for block in first] == list(range(1, len(first) + 1))
    async with listening(me.client, last_event_id=first[-1].id) as resumed:
        rest = await resumed.events(total - len(first))
    assert [told(block)[0] for block in rest] == list(range(len(first) + 1, total + 1))


async def a_large_run(me: Caller) -> None:
    """Five moves, the last of which has a result of a megabyte."""
    large = report()
    large = large.model_copy(update={"analysis": large.analysis.model_copy(update={"summary": "x" * 1_000_000})})
    document = await me.document(S.ANALYZING)
    await me.backends.documents.apply(move(document, S.COMPLETED, report=large))


class LateFeed:
    """A feed whose next answer arrives late, as one over a network may."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.hold()

    def hold(self) -> None:
        self._next = True
        self.was_read = asyncio.Event()
        self.may_arrive = asyncio.Event()

    async def heads(self, owners: Sequence[UUID]) -> Mapping[UUID, FeedHead]:
        late, self._next = self._next, False
        heads = await self._feed.heads(owners)
        if late:
            self.was_read.set()
            await self.may_arrive.wait()
        return heads

    async def owners(self) -> list[UUID]:
        return await self._feed.owners()

    async def events(self, owner: UUID, *, after: int, limit: int) -> list[FeedEvent]:
        return await self._feed.events(owner, after=after, limit=limit)


@pytest.fixture
async def feed(backends: Backends) -> LateFeed:
    return LateFeed(backends.feed)


@pytest.fixture
async def hub(backends: Backends, feed: LateFeed) -> AsyncIterator[Hub]:
    hub = Hub(feed=feed, encoder=Encoder(documents=backends.documents), tick_seconds=0.01, heartbeat_seconds=15)
    running = asyncio.create_task(hub.run())
    yield hub
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_listener_whose_head_arrives_late_misses_nothing_when_another_joins_meanwhile(
    me: Caller, backends: Backends, hub: Hub, feed: LateFeed
) -> None:
    document = await me.document(S.PENDING)
    late, quick = a_listener(me), a_listener(me)
    joining = asyncio.create_task(hub.join(late))
    await feed.was_read.wait()
    document = await me.move(document, S.PROCESSING, S.ANALYZING)
    await hub.join(quick)
    feed.may_arrive.set()
    head = await joining
    assert head.seq == 2
    stream = Stream(feed=feed, encoder=Encoder(documents=backends.documents))
    frames = a_view(stream, late, head)
    assert (await anext(frames)).startswith(b": connected")
    await me.move(document, S.COMPLETED)
    async with asyncio.timeout(30):
        frame = await anext(frames)
    assert frame.startswith(f"id: {replace(head, seq=3).cursor}\n".encode())


def a_listener(me: Caller) -> Listener:
    ends_at = asyncio.get_running_loop().time() + 300
    return Listener(owner=me.user.id, ends_at=ends_at, farewell=BYE, wanted=lambda _: True)


def a_view(stream: Stream, listener: Listener, head: FeedHead) -> AsyncIterator[bytes]:
    return stream.chunks(listener, begin=Beginning.at(None, head), head=head)


# Red: before the stream has begun there is no task to cancel, and what does not fit into the queue is dropped.
async def test_listener_that_is_overrun_before_its_stream_begins_misses_nothing(
    me: Caller, backends: Backends, hub: Hub, feed: LateFeed
) -> None:
    feed.may_arrive.set()
    document = await me.document(S.PENDING)
    overrun, witness = a_listener(me), a_listener(me)
    stream = Stream(feed=feed, encoder=Encoder(documents=backends.documents))
    head, witnessed = await hub.join(overrun), a_view(stream, witness, await hub.join(witness))
    changes = moves(document, *[S.PROCESSING, S.PENDING] * 600)
    await backends.documents.apply(*changes)
    seen: list[int] = []
    one_more: Document | None = None
    async with asyncio.timeout(60):
        assert [seq async for seq in sequence(witnessed, last=1202)] == list(range(3, 1203))
        async for seq in sequence(a_view(stream, overrun, head), last=1203):
            seen.append(seq)
            if overrun.queue.empty() and one_more is None:
                one_more = await me.move(changes[-1].after, S.PROCESSING)
    # Everything, or an end before anything is missing: then the client asks for the rest.
    assert seen == list(range(3, 3 + len(seen)))


async def sequence(chunks: AsyncIterator[bytes], *, last: int) -> AsyncIterator[int]:
    """The `seq` of each event, up to `last` or to the end."""
    async for chunk in chunks:
        for line in chunk.splitlines():
            if line.startswith(b"id: "):
                seq = int(line.partition(b".")[2])
                yield seq
                if seq == last:
                    return


async def test_clients_are_not_left_in_silence_while_the_store_does_not_answer(
    me: Caller, backends: Backends, feed: LateFeed
) -> None:
    feed.may_arrive.set()
    encoder = Encoder(documents=backends.documents)
    hub = Hub(feed=feed, encoder=encoder, tick_seconds=0.01, heartbeat_seconds=0.05)
    listener = a_listener(me)
    await hub.join(listener)
    feed.hold()
    running = asyncio.create_task(hub.run())
    async with asyncio.timeout(30):
        await feed.was_read.wait()
        assert [await listener.queue.get() for _ in range(2)] == [HEARTBEAT, HEARTBEAT]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_answer_that_is_cut_off_while_the_store_is_slow_is_whole(me: Caller, hub: Hub) -> None:
    async def greeting_and_no_more() -> AsyncGenerator[bytes]:
        yield GREETING
        await asyncio.Event().wait()

    listener, sent = a_listener(me), list[Message]()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)
        if message.get("body"):
            asyncio.get_running_loop().call_soon(listener.cut)

    answer = EventStreamResponse(greeting_and_no_more(), hub=hub, listener=listener, cursor="0", max_bytes=None)
    await asyncio.wait_for(answer({"type": "http", "state": {"server_send": send}}, receive, send), 30)
    assert [message.get("more_body") for message in sent] == [None, True, False]
