"""One client's view of a feed, and the HTTP answer that carries it.

No gap and no repeat: a listener is registered before the replay from the store, and what both bring is told by `seq`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api_service.frames import BYE, GREETING, Encoder, Frame, reset
from api_service.hub import Hub, Item, Listener
from shared.errors import FeedTrimmedError
from shared.events import FeedCursor, FeedHead
from shared.ports import Feed

_BATCH = 200
_END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class Beginning:
    """After which `seq` to send, and whether the client must be told that its cursor is of no use."""

    after: int
    useless: bool = False

    @classmethod
    def at(cls, cursor: str | None, head: FeedHead) -> Beginning:
        if not cursor:
            return cls(after=head.seq)
        if cursor == "0":
            return cls(after=head.floor)
        place = FeedCursor.parse(cursor)
        if place is None or place.epoch != head.epoch or not head.floor <= place.seq <= head.seq:
            return cls(after=head.seq, useless=True)
        return cls(after=place.seq)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    feed: Feed
    encoder: Encoder

    async def chunks(self, listener: Listener, *, begin: Beginning, head: FeedHead) -> AsyncGenerator[bytes]:
        """Yield greeting, replay up to `head`, then live frames, until the listener's end."""
        yield GREETING
        if begin.useless:
            yield reset(str(head.cursor))
        try:
            async for frame in self._replay(listener, after=begin.after, head=head):
                listener.has_news(asyncio.get_running_loop().time())
                yield frame.data
        except FeedTrimmedError:
            yield reset(str(head.cursor))
        last, ended = head.seq, False
        while not ended:
            items = await listener.take()
            data, last = _news(items, last)
            if data:
                yield data
            ended = items[-1] is None

    async def _replay(self, listener: Listener, *, after: int, head: FeedHead) -> AsyncIterator[Frame]:
        owner = listener.owner
        while after < head.seq and (events := await self.feed.events(owner, after=after, limit=_BATCH)):
            for event in events:
                # The listener gets what is beyond the head anyway. A frame may cost a read of its document.
                if event.seq <= head.seq and listener.wanted(event):
                    yield await self.encoder.frame(event, owner=owner, epoch=head.epoch)
            after = events[-1].seq


def _news(items: list[Item], last: int) -> tuple[bytes, int]:
    """What of `items` the client does not have yet, in one piece, and the `seq` that it then has."""
    parts: list[bytes] = []
    for item in items:
        if isinstance(item, bytes):
            parts.append(item)
        elif item is not None and item.event.seq > last:
            last = item.event.seq
            parts.append(item.data)
    return b"".join(parts), last


class EventStreamResponse(Response):
    """Sends chunks as they come. Starlette's StreamingResponse does the same with more between chunk and socket.

    The head passes the layers of the application, each of which may add to it; the chunks concern none of them, and
    go around. After `max_bytes` it says goodbye; the client goes on with the next stream.
    """

    media_type = "text/event-stream"

    def __init__(
        self, chunks: AsyncGenerator[bytes], *, hub: Hub, listener: Listener, cursor: str, max_bytes: int | None
    ) -> None:
        # Where the stream begins, for a client that has to come back before the first event has told it.
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Feed-Cursor": cursor})
        del self.headers["Content-Length"]
        self._chunks = chunks
        self._hub = hub
        self._listener = listener
        self._max_bytes = max_bytes
        # Whether the client has taken all that was sent so far.
        self._taken = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Until the chunks or the client have ended, whichever is first."""
        send_chunk = scope["state"]["server_send"]
        sending, leaving = asyncio.create_task(self._send(send, send_chunk)), asyncio.create_task(_left(receive))
        self._listener.task = sending
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._listener.task = None
            self._hub.leave(self._listener)
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
        if sending.cancelled():
            # Cut off while it waited for the store, not for its client, who is told that this was all.
            if self._taken and leaving.cancelled():
                await send_chunk(_END)
        elif error := sending.exception():
            raise error

    async def _send(self, send_head: Send, send_chunk: Send) -> None:
        await send_head({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        self._taken = True
        sent_bytes = 0
        async with aclosing(self._chunks):
            async for chunk in self._chunks:
                self._taken = False
                await send_chunk({"type": "http.response.body", "body": chunk, "more_body": True})
                sent_bytes += len(chunk)
                if self._max_bytes is not None and sent_bytes >= self._max_bytes:
                    await send_chunk({"type": "http.response.body", "body": BYE, "more_body": True})
                    break
                self._taken = True
        await send_chunk(_END)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
