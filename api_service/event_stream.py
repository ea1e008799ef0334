"""Moves as SSE frames. One hub a process reads the feeds of owners that have listeners, and encodes each event once.

No gap and no repeat: a listener is registered before the replay from the store, and what both bring is told by `seq`.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any
from uuid import UUID

from shared import log
from shared.document import DocumentStatus
from shared.errors import BackendUnavailableError
from shared.events import FeedCursor, FeedEvent, FeedHead
from shared.ports import DocumentStore, Feed

_log = log.get(__name__)

HEARTBEAT = b": heartbeat\n\n"
GREETING = b": connected\nretry: 1000\n\n"
BYE = b"event: bye\nretry: 1000\ndata: {}\n\n"
REAUTH = b'event: reauth\nretry: 1000\ndata: {"detail": "The token has expired."}\n\n'

_BATCH = 200
# A listener that lags further behind is closed; it resumes by id and misses nothing.
_QUEUE_FRAMES = 1024
_FAREWELL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One event, encoded once for all listeners."""

    event: FeedEvent
    data: bytes


@dataclass(eq=False, kw_only=True, slots=True)
class Listener:
    """One open stream, or one long poll, which is not `counted`. None in the queue ends it."""

    owner: UUID
    ends_at: float
    farewell: bytes
    wanted: Callable[[FeedEvent], bool]
    counted: bool = True
    queue: asyncio.Queue[Frame | bytes | None] = field(default_factory=lambda: asyncio.Queue(_QUEUE_FRAMES))
    quiet_since: float = 0.0
    task: asyncio.Task[Any] | None = None

    def push(self, *items: Frame | bytes | None) -> None:
        """Hand over what is to be sent; a listener that lags too far behind is cut off."""
        try:
            for item in items:
                self.queue.put_nowait(item)
        except asyncio.QueueFull:
            self.cut()

    def cut(self) -> None:
        """End the stream even if its client reads nothing."""
        if self.task is not None:
            self.task.cancel()
            return
        # It has not begun to send: nothing but its end is left for it, and the client asks again from where it was.
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


class Encoder:
    """Turns feed events into frames; the result of a completed document is read by reference."""

    def __init__(self, *, documents: DocumentStore) -> None:
        self._documents = documents

    async def frame(self, event: FeedEvent, *, owner: UUID, epoch: str) -> Frame:
        body = _body(event)
        if event.status == DocumentStatus.COMPLETED:
            body |= await self._result(event, owner)
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        cursor = FeedCursor(epoch=epoch, seq=event.seq)
        return Frame(event=event, data=f"id: {cursor}\nevent: status\ndata: {text}\n\n".encode())

    async def _result(self, event: FeedEvent, owner: UUID) -> dict[str, Any]:
        document = await self._documents.find(event.document_id, owner=owner)
        if document is None or document.report is None:
            return {}
        report = document.report.model_dump(mode="json")
        return {"analysis_result": report["analysis"], "coverage": report["coverage"]}


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
            if known is None or head.seq < known.seq:
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

    def close(self) -> None:
        """Say goodbye to every listener, now and from now on; each resumes elsewhere by id."""
        self._closed = True
        for listener in self._everyone():
            self._end(listener, BYE)

    async def run(self) -> None:
        """Watch the feeds of connected owners until cancelled."""
        while True:
            if not self._listeners:
                self._wanted.clear()
                await self._wanted.wait()
            await self._tick()
            self._keep_time()
            await asyncio.sleep(self._tick_seconds)

    async def _tick(self) -> None:
        try:
            heads = await self._feed.heads(list(self._listeners))
        except BackendUnavailableError as exc:
            _log.warning("stream.heads_failed", cause=str(exc))
            return
        for owner, head in heads.items():
            known = self._heads.get(owner)
            if known is None or head.seq <= known.seq:
                continue
            try:
                await self._publish(owner, known, head)
            except BackendUnavailableError as exc:
                # The next tick begins where this one failed; the other owners do not wait for it.
                _log.warning("stream.publish_failed", cause=str(exc))

    async def _publish(self, owner: UUID, known: FeedHead, head: FeedHead) -> None:
        events = await self._feed.events(owner, after=known.seq, limit=_BATCH)
        for event in events:
            frame = await self._encoder.frame(event, owner=owner, epoch=head.epoch)
            for listener in self._listeners.get(owner, set()).copy():
                if listener.wanted(event):
                    self._push(listener, frame)
        # Unless a listener has joined meanwhile that needs older ones.
        if events and self._heads.get(owner) is known:
            self._heads[owner] = FeedHead(epoch=head.epoch, seq=events[-1].seq, floor=head.floor)

    def _keep_time(self) -> None:
        now = asyncio.get_running_loop().time()
        for listener in self._everyone():
            if now >= listener.ends_at:
                listener.ends_at = math.inf
                self._end(listener, listener.farewell)
            elif now - listener.quiet_since >= self._heartbeat_seconds - self._tick_seconds:
                self._push(listener, HEARTBEAT)

    def _push(self, listener: Listener, item: Frame | bytes) -> None:
        listener.quiet_since = asyncio.get_running_loop().time()
        listener.push(item)

    def _end(self, listener: Listener, farewell: bytes) -> None:
        """Say goodbye; a client that does not read it is cut off."""
        listener.push(farewell, None)
        asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, listener.cut)

    def _everyone(self) -> list[Listener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """One client's view of its owner's feed."""

    hub: Hub
    feed: Feed
    encoder: Encoder

    async def frames(self, listener: Listener, *, cursor: str | None, head: FeedHead) -> AsyncIterator[bytes]:
        """Yield greeting, replay from the cursor to `head`, then live frames, until the listener's end."""
        listener.task = asyncio.current_task()
        try:
            last, useless = _start(cursor, head)
            yield GREETING
            if useless:
                yield _reset(head)
            async for frame in self._replay(listener.owner, after=last, head=head):
                last = frame.event.seq
                if listener.wanted(frame.event):
                    yield frame.data
            while (item := await listener.queue.get()) is not None:
                if isinstance(item, bytes):
                    yield item
                elif item.event.seq > last:
                    last = item.event.seq
                    yield item.data
        finally:
            listener.task = None
            self.hub.leave(listener)

    async def _replay(self, owner: UUID, *, after: int, head: FeedHead) -> AsyncIterator[Frame]:
        while after < head.seq and (events := await self.feed.events(owner, after=after, limit=_BATCH)):
            for event in events:
                yield await self.encoder.frame(event, owner=owner, epoch=head.epoch)
            after = events[-1].seq


def _start(cursor: str | None, head: FeedHead) -> tuple[int, bool]:
    """From which `seq` on to send, and whether the client must be told that its cursor is of no use."""
    if cursor is None:
        return head.seq, False
    if cursor == "0":
        return head.floor, False
    place = FeedCursor.parse(cursor)
    if place is None or place.epoch != head.epoch or not head.floor <= place.seq <= head.seq:
        return head.seq, True
    return place.seq, False


def _reset(head: FeedHead) -> bytes:
    return f'event: reset\ndata: {{"cursor":"{head.cursor}"}}\n\n'.encode()


def _body(event: FeedEvent) -> dict[str, Any]:
    if not event.filename:
        # Of a deleted document no more than this is left.
        return {"document_id": str(event.document_id), "status": event.status}
    body: dict[str, Any] = {
        "document_id": str(event.document_id),
        "filename": event.filename,
        "folder": event.folder,
        "version": event.version,
        "status": event.status,
        "at": event.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "attempt": event.attempt,
    }
    if event.reason:
        body["reason"] = event.reason
    if event.error_code:
        body |= {"error_code": event.error_code, "error_message": event.error_detail}
    return body
