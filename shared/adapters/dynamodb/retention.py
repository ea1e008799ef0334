"""DynamoDBRetention: raises the floors of feeds. What is below a floor, time to live removes later, at no cost."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import takewhile
from uuid import UUID

from shared.adapters.dynamodb import indexes, items
from shared.adapters.dynamodb.expressions import STORED, expressed, update
from shared.adapters.dynamodb.table import Table
from shared.errors import BackendUnavailableError
from shared.events import FEED_KEPT_FOR, FeedEvent, FeedHead

_FEEDS = 20
_EVENTS = 1000
_RENEWED_AT_ONCE = 50
# A busy feed has something to trim all the time: it is done by the hour.
_PAUSE = timedelta(hours=1)


class DynamoDBRetention:
    def __init__(self, *, table: Table) -> None:
        self._table = table

    async def trim(self, *, now: datetime) -> int:
        # Each feed that is looked at is due again later, whether something of it was old or not.
        while owners := await indexes.feeds(self._table, until=now, limit=_FEEDS):
            if gone := sum([await self._trim(owner, now) for owner in owners]):
                return gone
        return 0

    async def begin_anew(self) -> int:
        """A feed that the index does not show yet has only just begun, with an epoch that nobody knows from before."""
        owners = list(dict.fromkeys(await indexes.feeds(self._table)))
        for first in range(0, len(owners), _RENEWED_AT_ONCE):
            await asyncio.gather(*map(self._renew, owners[first : first + _RENEWED_AT_ONCE]))
        return len(owners)

    async def _renew(self, owner: UUID) -> None:
        await self._table.update(update(items.head_key(owner), {"epoch": items.new_epoch()}, condition=STORED))

    async def _trim(self, owner: UUID, now: datetime) -> int:
        """Raise the floor to the last of the old events, and say when to look again; returns by how much it rose."""
        head = await self._head(owner)
        events = await self._events(owner, head)
        old = list(takewhile(lambda event: event.at < now - FEED_KEPT_FOR, events))
        floor = old[-1].seq if old else head.floor
        look_at = now if len(old) == _EVENTS else now + FEED_KEPT_FOR
        if kept := events[len(old) :]:
            look_at = max(kept[0].at + FEED_KEPT_FOR, now + _PAUSE)
            # Time to live may have been faster than this, where nobody came for long.
            floor = kept[0].seq - 1
        elif floor < head.seq and len(old) < _EVENTS and await self._is_gone(owner, head.seq):
            # Nor is it late: it was written with the head, and no single read sees half a transaction.
            floor = head.seq
        changes = {"floor": floor, **items.trim_values(owner, look_at)}
        # Refused when another has just done it.
        await self._table.update(
            update(items.head_key(owner), changes, condition="#floor = :floor", given={"floor": head.floor})
        )
        return floor - head.floor

    async def _head(self, owner: UUID) -> FeedHead:
        stored = await self._table.get(items.head_key(owner))
        if stored is None:
            raise BackendUnavailableError("DynamoDB lists a feed and does not have its head.")
        return items.head_from(stored)

    async def _is_gone(self, owner: UUID, seq: int) -> bool:
        return await self._table.get(items.event_key(owner, seq)) is None

    async def _events(self, owner: UUID, head: FeedHead) -> list[FeedEvent]:
        first, last = items.event_key(owner, head.floor + 1), items.event_key(owner, head.seq)
        if head.floor == head.seq:
            return []
        request = expressed(
            {"feed": first["PK"], "first": first["SK"], "last": last["SK"]},
            KeyConditionExpression="PK = :feed AND SK BETWEEN :first AND :last",
        )
        stored = await self._table.query({**request, "Limit": _EVENTS}, limit=_EVENTS)
        return [items.event_from(one) for one in stored]
