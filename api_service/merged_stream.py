"""Every owner's feed in one stream, for an admin: each owner's events in order, without a gap and without a repeat.

Nothing is promised about the order between owners. It reads for itself, past the hub: its cost grows with all owners.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from api_service.frames import GREETING, Encoder, reset, status
from api_service.hub import Listener
from shared import log
from shared.errors import BackendUnavailableError, FeedTrimmedError
from shared.events import FeedEvent, FeedHead
from shared.ports import Feed

_log = log.get(__name__)

_BATCH = 200
_PREFIX = "m."
# Nine bytes are twelve characters, without padding.
_ENTRY = struct.Struct(">5sI")


class Places:
    """A place in every feed. As a cursor: for each feed with events, five bytes that name it, and its `seq` in four.

    The name is a hash of owner and epoch. Should two feeds have the same, which is one chance in two million among a
    thousand, every cursor is useless; none is mistaken.
    """

    def __init__(self, heads: Mapping[UUID, FeedHead]) -> None:
        """At the end of every feed."""
        self._names: dict[UUID, bytes] = {}
        self._epochs: dict[UUID, str] = {}
        self._seqs: dict[UUID, int] = {}
        for owner, head in heads.items():
            self.move(owner, head, head.seq)

    @classmethod
    def at(cls, cursor: str | None, heads: Mapping[UUID, FeedHead]) -> tuple[Self, bool]:
        """The places that a cursor tells, and whether the client has to be told that it is of no use for some feed."""
        places = cls(heads)
        if cursor is None:
            return places, False
        if cursor == "0":
            for owner, head in heads.items():
                places.move(owner, head, head.floor)
            return places, False
        return places, not places._return_to(_unpacked(cursor), heads)

    def __str__(self) -> str:
        packed = b"".join(_ENTRY.pack(self._names[owner], seq) for owner, seq in self._seqs.items() if seq)
        return _PREFIX + base64.urlsafe_b64encode(packed).decode()

    def __getitem__(self, owner: UUID) -> int:
        """The last `seq` that was passed; 0 in a feed that has begun since."""
        return self._seqs.get(owner, 0)

    def move(self, owner: UUID, head: FeedHead, seq: int) -> None:
        if self._epochs.get(owner) != head.epoch:
            self._epochs[owner] = head.epoch
            self._names[owner] = hashlib.sha256(owner.bytes + head.epoch.encode()).digest()[:5]
        self._seqs[owner] = seq

    def skip_anew(self, heads: Mapping[UUID, FeedHead]) -> bool:
        """Move to the end of every feed that has begun anew since; False when there is none."""
        anew = {owner: head for owner, head in heads.items() if self._epochs.get(owner, head.epoch) != head.epoch}
        for owner, head in anew.items():
            self.move(owner, head, head.seq)
        return bool(anew)

    def _return_to(self, told: dict[bytes, int] | None, heads: Mapping[UUID, FeedHead]) -> bool:
        """Whether every feed could be set to the place that was told."""
        names = set(self._names.values())
        if told is None or len(names) < len(heads):
            return False
        kept = told.keys() <= names
        for owner, head in heads.items():
            seq = told.get(self._names[owner], 0)
            if head.floor <= seq <= head.seq:
                self.move(owner, head, seq)
            else:
                kept = False
        return kept


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedStream:
    feed: Feed
    encoder: Encoder
    wanted: Callable[[FeedEvent], bool]
    tick_seconds: float

    async def heads(self) -> Mapping[UUID, FeedHead]:
        return await self.feed.heads(await self.feed.owners())

    async def chunks(self, listener: Listener, places: Places, *, useless: bool) -> AsyncGenerator[bytes]:
        """Yield greeting and everything from `places` on, until the listener's end."""
        yield GREETING
        if useless:
            yield reset(str(places))
        while True:
            try:
                async for frame in self._news(places):
                    listener.has_news(asyncio.get_running_loop().time())
                    yield frame
            except BackendUnavailableError as exc:
                # The next round goes on from the places that were reached.
                _log.warning("stream.merge_failed", cause=str(exc))
            for item in await self._from_hub(listener):
                if not isinstance(item, bytes):
                    return
                yield item

    async def _from_hub(self, listener: Listener) -> list[object]:
        """What the hub has to say about the connection, which is heartbeats and its end, within a tick."""
        try:
            async with asyncio.timeout(self.tick_seconds):
                return list(await listener.take())
        except TimeoutError:
            return []

    async def _news(self, places: Places) -> AsyncIterator[bytes]:
        heads = await self.heads()
        if places.skip_anew(heads):
            yield reset(str(places))
        for owner, head in heads.items():
            try:
                while places[owner] < head.seq:
                    async for frame in self._next(owner, head, places):
                        yield frame
            except FeedTrimmedError:
                places.move(owner, head, head.seq)
                yield reset(str(places))

    async def _next(self, owner: UUID, head: FeedHead, places: Places) -> AsyncIterator[bytes]:
        events = await self.feed.events(owner, after=places[owner], limit=_BATCH)
        if not events:
            raise BackendUnavailableError("A feed does not show the events that its head tells of.")
        for event in events:
            told = await self.encoder.told(event, owner)
            places.move(owner, head, event.seq)
            if self.wanted(event):
                yield status(str(places), {"owner": str(owner), **told})


def _unpacked(cursor: str) -> dict[bytes, int] | None:
    """The `seq` of each name; None when the text is no such cursor."""
    try:
        packed = base64.b64decode(cursor.removeprefix(_PREFIX), altchars=b"-_", validate=True)
        return dict(_ENTRY.iter_unpack(packed)) if cursor.startswith(_PREFIX) else None
    except (ValueError, struct.error):
        return None
