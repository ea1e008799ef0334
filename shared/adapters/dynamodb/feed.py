"""DynamoDBFeed: reading what the moves have written, from the table itself, never from an index or a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.adapters.dynamodb import indexes, items
from shared.adapters.dynamodb.expressions import NEW, Item, expressed, put
from shared.adapters.dynamodb.table import Table, pauses
from shared.clock import Clock
from shared.errors import BackendUnavailableError, FeedTrimmedError
from shared.events import FeedEvent, FeedHead

_HOLE_TRIES = 6


class DynamoDBFeed:
    def __init__(self, *, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def heads(self, owners: Sequence[UUID]) -> Mapping[UUID, FeedHead]:
        found = await self._heads(owners)
        missing = [owner for owner in owners if owner not in found]
        if not missing:
            return found
        for owner in missing:
            await self._table.put(put(items.new_head_values(owner, at=self._clock()), condition=NEW))
        return {**found, **await self._heads(missing)}

    async def owners(self) -> list[UUID]:
        """From an index, which is only eventually consistent."""
        return await indexes.feeds(self._table)

    async def events(self, owner: UUID, *, after: int, limit: int) -> list[FeedEvent]:
        """A query may see a transaction half: a later event without an earlier one, or the head without its event
        (DynamoDB promises a query no more than read-committed). Nothing behind such a hole is returned, or the reader
        would never learn what fills it. Raises BackendUnavailableError when the very next event stays away.
        """
        for pause in pauses(_HOLE_TRIES):
            stored = await self._query(owner, after=after, limit=limit)
            events = [items.event_from(one) for one in stored if not _is_head(one)]
            unbroken = [event for seq, event in enumerate(events, after + 1) if event.seq == seq]
            head = next((items.head_from(one) for one in stored if _is_head(one)), None)
            if head is not None and after < head.floor:
                raise FeedTrimmedError
            if unbroken or (not events and (head is None or head.seq <= after)):
                return unbroken[:limit]
            await asyncio.sleep(pause)
        # Below the floor, time to live takes events in any order.
        if after < (await self._heads([owner]))[owner].floor:
            raise FeedTrimmedError
        raise BackendUnavailableError("DynamoDB does not show the next event of a feed yet.")

    async def _heads(self, owners: Sequence[UUID]) -> dict[UUID, FeedHead]:
        stored = await self._table.get_many([items.head_key(owner) for owner in dict.fromkeys(owners)])
        return {items.feed_owner(one): items.head_from(one) for one in stored}

    async def _query(self, owner: UUID, *, after: int, limit: int) -> list[Item]:
        """The next events and, when there is room, the head, whose sort key is behind them."""
        head = items.head_key(owner)
        request = expressed(
            {"feed": head["PK"], "first": items.event_key(owner, after + 1)["SK"], "head": head["SK"]},
            KeyConditionExpression="PK = :feed AND SK BETWEEN :first AND :head",
        )
        return await self._table.query({**request, "Limit": limit + 1}, limit=limit + 1)


def _is_head(stored: Item) -> bool:
    return "epoch" in stored
