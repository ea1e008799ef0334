"""Named mutants of feed, hub and stream. What checks the honest ones has to catch each, or it proves nothing.

Invariant: what a client saw is the feed, in order, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from api_service import event_stream
from api_service.event_stream import Beginning, Stream
from api_service.frames import BYE, Encoder, Frame
from api_service.hub import Hub, Item, Listener
from shared.adapters.postgres import feed as postgres_feed
from shared.adapters.postgres import rows
from shared.adapters.postgres.connection import Pool, execute, fetch_all, open_pool
from shared.adapters.postgres.documents import _MOVE
from shared.adapters.postgres.feed import PostgresFeed
from shared.bootstrap import Backends
from shared.document import Change, Document
from shared.events import FEED_KEPT_FOR, FeedEvent, FeedHead
from shared.settings import Settings
from tests.support.builders import NOW, S, move, moves, new_document
from tests.support.running import until

_GIVE_UP_SECONDS = 30
_HEAD = _MOVE[_MOVE.index("head AS (") : _MOVE.index("INSERT INTO feed_events")]


class IgnoresHoles(PostgresFeed):
    """Gives what comes after a hole."""

    async def events(self, owner: UUID, *, after: int, limit: int) -> list[FeedEvent]:
        found = await fetch_all(self._pool, postgres_feed._EVENTS, {"owner": owner, "after": after, "limit": limit})
        return [rows.event_from(row) for row in found]


class GrowingId(IgnoresHoles):
    """`id > last` on a growing id, which another transaction may commit before."""

    MOVE = _MOVE.replace(_HEAD, "head AS (SELECT owner, nextval('growing_id') AS seq FROM moved)\n")

    async def heads(self, owners: Sequence[UUID]) -> Mapping[UUID, FeedHead]:
        heads = await super().heads(owners)
        newest = "SELECT coalesce(max(seq), 0) AS seq FROM feed_events WHERE owner = %(owner)s"
        found = {owner: (await fetch_all(self._pool, newest, {"owner": owner}))[0]["seq"] for owner in heads}
        return {owner: replace(head, seq=found[owner]) for owner, head in heads.items()}


class SubscribesAfterReplay(Stream):
    """Joins the hub when the replay is done."""

    hub: Hub
    late: Listener

    async def _replay(self, listener: Listener, *, after: int, head: FeedHead) -> AsyncIterator[Frame]:
        async for frame in super()._replay(listener, after=after, head=head):
            yield frame
        await SubscribesAfterReplay.hub.join(SubscribesAfterReplay.late)


def sends_whatever_comes(items: list[Item], last: int) -> tuple[bytes, int]:
    """In place of `_news`: does not compare with what has been sent."""
    return b"".join(item if isinstance(item, bytes) else item.data for item in items if item), last


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """A feed of its own, as one listener sees it."""

    backends: Backends
    settings: Settings
    pool: Pool
    owner: UUID
    feed: PostgresFeed
    move: str = _MOVE
    view: type[Stream] = Stream

    @property
    def encoder(self) -> Encoder:
        return Encoder(documents=self.backends.documents)

    async def document(self) -> Document:
        """At `pending`: two events."""
        document = new_document(owner=self.owner)
        await self.backends.documents.insert(document)
        changes = moves(document, S.UPLOADED, S.PENDING)
        for change in changes:
            await self.write(change)
        return changes[-1].after

    async def write(self, change: Change) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(self.move.encode(), rows.change_row(change))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[tuple[Hub, Listener, AsyncIterator[bytes]]]:
        """A stream of everything. Its hub ticks."""
        hub = Hub(feed=self.feed, encoder=self.encoder, tick_seconds=0.01, heartbeat_seconds=15)
        running = asyncio.create_task(hub.run())
        ends_at = asyncio.get_running_loop().time() + 300
        listener = Listener(owner=self.owner, ends_at=ends_at, farewell=BYE, wanted=lambda _: True)
        if self.view is SubscribesAfterReplay:
            SubscribesAfterReplay.hub, SubscribesAfterReplay.late = hub, listener
            head = (await self.feed.heads([self.owner]))[self.owner]
        else:
            head = await hub.join(listener)
        view = self.view(feed=self.feed, encoder=self.encoder)
        try:
            yield hub, listener, view.chunks(listener, begin=Beginning.at("0", head), head=head)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def check(self, seen: Sequence[str]) -> None:
        """The invariant."""
        stored = "SELECT seq FROM feed_events WHERE owner = %(owner)s ORDER BY seq"
        feed = [str(row["seq"]) for row in await fetch_all(self.pool, stored, {"owner": self.owner})]
        assert seen == feed, "The client did not see the feed, in order, once."


def numbers(chunk: bytes) -> list[str]:
    return [line.partition(".")[2] for line in chunk.decode().splitlines() if line.startswith("id: ")]


async def read(chunks: AsyncIterator[bytes], *, last: int) -> list[str]:
    """The numbers of the events up to `last`."""
    seen: list[str] = []
    async with asyncio.timeout(_GIVE_UP_SECONDS):
        while str(last) not in seen:
            seen += numbers(await anext(chunks))
    return seen


async def a_move_that_commits_late(world: World) -> None:
    """One transaction takes its number, another commits before it."""
    slow, quick = await world.document(), await world.document()
    async with (
        world.listening() as (_, _, chunks),
        await psycopg.AsyncConnection.connect(world.settings.database_url.get_secret_value()) as connection,
    ):
        seen = await read(chunks, last=4)
        await connection.execute(world.move.encode(), rows.change_row(move(slow, S.PROCESSING)))
        passing = asyncio.create_task(world.write(move(quick, S.PROCESSING)))
        await until(lambda: _passed_or_waits(world, passing))
        if passing.done():
            seen += numbers(await anext(chunks))
        await connection.commit()
        await passing
        await world.document()
        seen += await read(chunks, last=8)
    await world.check(seen)


async def _passed_or_waits(world: World, passing: asyncio.Task[None]) -> bool:
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return passing.done() or bool(await fetch_all(world.pool, waiting))


async def a_move_right_after_the_replay(world: World) -> None:
    document = await world.document()
    async with world.listening() as (hub, _, chunks):
        seen = await read(chunks, last=2)
        changes = moves(document, S.PROCESSING, S.ANALYZING)
        await world.write(changes[0])
        reading = asyncio.create_task(read(chunks, last=4))
        # An honest hub has handed it to the listener by then; a late one has begun behind it.
        await until(lambda: _has_passed(hub, world.owner, 3))
        await world.write(changes[1])
        seen += await reading
    await world.check(seen)


async def _has_passed(hub: Hub, owner: UUID, seq: int) -> bool:
    head = hub._heads.get(owner)
    return head is not None and head.seq >= seq


async def a_move_that_replay_and_hub_both_bring(world: World) -> None:
    document = await world.document()
    async with world.listening() as (_, listener, _):
        changes = moves(document, S.PROCESSING, S.ANALYZING)
        await world.write(changes[0])
        await until(lambda: _is_queued(listener))
        # As for a listener whose answer about the head came late.
        head = (await world.feed.heads([world.owner]))[world.owner]
        view = Stream(feed=world.feed, encoder=world.encoder)
        chunks = view.chunks(listener, begin=Beginning.at("0", head), head=head)
        seen = await read(chunks, last=3)
        await world.write(changes[1])
        seen += await read(chunks, last=4)
    await world.check(seen)


async def _is_queued(listener: Listener) -> bool:
    return not listener.queue.empty()


async def a_feed_trimmed_under_a_reader(world: World) -> None:
    """Whoever gets less than the whole must be told: a reset stands for what is gone."""
    document = await world.document()
    async with world.listening() as (_, _, chunks):
        # Other tests' feeds are trimmed too, and a step takes only some.
        while await world.backends.retention.trim(now=NOW + FEED_KEPT_FOR + timedelta(hours=2)):
            continue
        await world.write(move(document, S.PROCESSING, at=NOW + timedelta(days=1)))
        text = b""
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            while not text.endswith(b"\n\n") or b".3\n" not in text:
                text += await anext(chunks)
    assert text.count(b"event: reset") == 1, "The client was not told that events are gone."


Scenario = Callable[[World], Awaitable[None]]
SCENARIOS: list[Scenario] = [
    a_move_that_commits_late,
    a_move_right_after_the_replay,
    a_move_that_replay_and_hub_both_bring,
    a_feed_trimmed_under_a_reader,
]


@pytest.fixture
async def world(stack_settings: Settings, backends: Backends) -> AsyncIterator[World]:
    async with open_pool(stack_settings.database_url.get_secret_value(), size=8) as pool:
        await execute(pool, "CREATE SEQUENCE IF NOT EXISTS growing_id")
        await execute(pool, "ALTER SEQUENCE growing_id RESTART")
        feed = PostgresFeed(pool=pool)
        yield World(backends=backends, settings=stack_settings, pool=pool, owner=uuid4(), feed=feed)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_stream_stands_every_scenario(world: World, scenario: Scenario) -> None:
    await scenario(world)


async def test_feed_that_follows_a_growing_id_is_caught(world: World) -> None:
    mutant = replace(world, feed=GrowingId(pool=world.pool), move=GrowingId.MOVE)
    with pytest.raises(AssertionError, match="The client"):
        await a_move_that_commits_late(mutant)


async def test_hub_that_is_joined_after_the_replay_is_caught(world: World) -> None:
    with pytest.raises(AssertionError, match="The client"):
        await a_move_right_after_the_replay(replace(world, view=SubscribesAfterReplay))


async def test_stream_that_sends_whatever_comes_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_news", sends_whatever_comes)
    with pytest.raises(AssertionError, match="The client"):
        await a_move_that_replay_and_hub_both_bring(world)


async def test_feed_that_ignores_holes_is_caught(world: World) -> None:
    with pytest.raises(AssertionError, match="The client"):
        await a_feed_trimmed_under_a_reader(replace(world, feed=IgnoresHoles(pool=world.pool)))
