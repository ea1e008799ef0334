"""One hub a process reads the feeds of owners that have listeners, and hands each event to all of them.

Its cost grows with the owners that are listened to, not with the listeners. It knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from api_service.frames import BYE, HEARTBEAT, Encoder, Frame
from shared import log
from shared.errors import BackendUnavailableError, FeedTrimmedError
from shared.events import FeedEvent, FeedHead
from shared.ports import Feed

_log = log.get(__name__)

_BATCH = 200
# A listener that lags further behind is closed; it resumes by id and misses nothing.
_QUEUE_FRAMES = 1024
_FAREWELL_SECONDS = 1.0

Item = Frame | bytes | None


@dataclass(eq=False, kw_only=True, slots=True)
class Listener:
    """One open stream, or one long poll, which is not `counted`. None in the queue ends it.

    Times are the event loop's. `linger_seconds`: how long a stream goes on after the first event that it sends.
    """

    owner: UUID
    ends_at: float
    farewell: bytes
    wanted: Callable[[FeedEvent], bool]
    linger_seconds: float | None = None
    counted: bool = True
    queue: asyncio.Queue[Item] = field(default_factory=lambda: asyncio.Queue(_QUEUE_FRAMES))
    quiet_since: float = 0.0
    task: asyncio.Task[Any] | None = None

    def push(self, *items: Item) -> None:
        """Hand over what is to be sent; a listener that lags too far behind is cut off."""
        try:
            for item in items:
                self.queue.put_nowait(item)
        except asyncio.QueueFull:
            self.cut()

    async def take(self) -> list[Item]:
        """What is to be sent by now, at least one thing and nothing after the end."""
        items = [await self.queue.get()]
        while items[-1] is not None and not self.queue.empty():
            items.append(self.queue.get_nowait())
        return items

    def has_news(self, now: float) -> None:
        """An event is being sent: the time to linger begins, unless it has begun."""
        if self.linger_seconds is not None and now + self.linger_seconds < self.ends_at:
            self.ends_at, self.farewell = now + self.linger_seconds, BYE

    def cut(self) -> None:
        """End the stream even if its client reads nothing."""
        if self.task is not None:
            self.task.cancel()
            return
        # It has not begun to send: nothing but its end is left for it, and the client asks again from where it was.
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


class Hub:
    def __init__(self, *, feed: Feed, encoder: Encoder, tick_seconds: float, heartbeat_seconds: float) -> None:
        self._feed = feed
        self._encoder = encoder
        self._tick_seconds = tick_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._listeners: dict[UUID, set[Listener]] = {}
        self._heads: dict[UUID, FeedHead] = {}
        self._wanted = asyncio.Event()
        self._closed = False

    def count(self, owner: UUID) -> int:
        return sum(listener.counted for listener in self._listeners.get(owner, ()))

    def count_polls(self, owner: UUID) -> int:
        return len(self._listeners.get(owner, ())) - self.count(owner)

    def count_all(self) -> int:
        return sum(listener.counted for listener in self._everyone())

    async def join(self, listener: Listener) -> FeedHead:
        """Register a listener; it gets every event after the head that is returned, and perhaps some before.

        Registered first, asked second: whatever the hub published to others before is at or below that head.
        """
        listener.quiet_since = asyncio.get_running_loop().time()
        self._listeners.setdefault(listener.owner, set()).add(listener)
        if self._closed:
            self._end(listener, BYE)
        try:
            head = (await self._feed.heads([listener.owner]))[listener.owner]
        except BaseException:
            self.leave(listener)
            raise
        if listener.owner in self._listeners:
            known = self._heads.get(listener.owner)
            if known is None or (head.epoch == known.epoch and head.seq < known.seq):
                # Another's answer was faster and newer: go back for this one. The others know repeats by `seq`.
                self._heads[listener.owner] = head
            self._wanted.set()
        return head

    def leave(self, listener: Listener) -> None:
        listeners = self._listeners.get(listener.owner, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(listener.owner, None)
            self._heads.pop(listener.owner, None)

    def open(self) -> None:
        """Keep the listeners that come from now on."""
        self._closed = False

    def close(self) -> None:
        """Say goodbye to every listener, now and until opened again; each resumes elsewhere by id."""
        self._closed = True
        for listener in self._everyone():
            self._end(listener, BYE)

    async def run(self) -> None:
        """Watch the feeds of connected owners until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every_tick(self._read))
            # By itself: while the store does not answer, the clients go on hearing that they are connected.
            tasks.create_task(self._every_tick(self._keep_time))

    async def _every_tick(self, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            if not self._listeners:
                self._wanted.clear()
                await self._wanted.wait()
            await act()
            await asyncio.sleep(self._tick_seconds)

    async def _read(self) -> None:
        try:
            heads = await self._feed.heads(list(self._listeners))
        except BackendUnavailableError as exc:
            _log.warning("stream.heads_failed", cause=str(exc))
            return
        for owner, head in heads.items():
            known = self._heads.get(owner)
            if known is not None and head.epoch != known.epoch:
                # The store was set back, and gives the same numbers again.
                self._heads[owner] = head
                self._send_back(owner)
                continue
            if known is None or head.seq <= known.seq:
                continue
            try:
                await self._publish(owner, known, head)
            except BackendUnavailableError as exc:
                # The next tick begins where this one failed; the other owners do not wait for it.
                _log.warning("stream.publish_failed", cause=str(exc))
            except FeedTrimmedError:
                # Nobody read this feed for days, and now it is too late: each client comes back and is told so.
                _log.warning("stream.trimmed_unread", owner=str(owner))
                self._send_back(owner)

    async def _publish(self, owner: UUID, known: FeedHead, head: FeedHead) -> None:
        events = await self._feed.events(owner, after=known.seq, limit=_BATCH)
        for event in events:
            # A frame may cost a read of its document.
            if not any(listener.wanted(event) for listener in self._listeners.get(owner, ())):
                continue
            frame = await self._encoder.frame(event, owner=owner, epoch=head.epoch)
            now = asyncio.get_running_loop().time()
            for listener in self._listeners.get(owner, set()).copy():
                if listener.wanted(event):
                    listener.has_news(now)
                    listener.quiet_since = now
                    listener.push(frame)
        # Unless a listener has joined meanwhile that needs older ones.
        if events and self._heads.get(owner) is known:
            self._heads[owner] = FeedHead(epoch=head.epoch, seq=events[-1].seq, floor=head.floor)

    async def _keep_time(self) -> None:
        now = asyncio.get_running_loop().time()
        for listener in self._everyone():
            if now >= listener.ends_at:
                listener.ends_at = math.inf
                self._end(listener, listener.farewell)
            elif now - listener.quiet_since >= self._heartbeat_seconds - self._tick_seconds:
                listener.quiet_since = now
                listener.push(HEARTBEAT)

    def _send_back(self, owner: UUID) -> None:
        """End an owner's streams: each client comes back, and is told that its cursor is of no use."""
        for listener in self._listeners.get(owner, ()):
            self._end(listener, BYE)

    def _end(self, listener: Listener, farewell: bytes) -> None:
        """Say goodbye; a client that does not read it is cut off."""
        listener.push(farewell, None)
        asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, listener.cut)

    def _everyone(self) -> list[Listener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]
