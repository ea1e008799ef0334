"""PostgresFeed: reading what PostgresDocumentStore's moves have written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.adapters.postgres.connection import Pool, execute, fetch_all
from shared.adapters.postgres.rows import event_from
from shared.errors import FeedTrimmedError
from shared.events import FeedEvent, FeedHead

_HEADS = "SELECT owner, epoch, seq, floor FROM feed_heads WHERE owner = ANY(%(owners)s)"
_BEGIN = "INSERT INTO feed_heads (owner) SELECT unnest(%(owners)s::uuid[]) ON CONFLICT DO NOTHING"
_EVENTS = """
SELECT seq, document_id, filename, folder, version, status, at, attempt, reason, error_code, error_detail
FROM feed_events WHERE owner = %(owner)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s
"""


class PostgresFeed:
    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    async def heads(self, owners: Sequence[UUID]) -> Mapping[UUID, FeedHead]:
        found = await self._heads(owners)
        missing = [owner for owner in owners if owner not in found]
        if not missing:
            return found
        await execute(self._pool, _BEGIN, {"owners": missing})
        return {**found, **await self._heads(missing)}

    async def owners(self) -> list[UUID]:
        return [row["owner"] for row in await fetch_all(self._pool, "SELECT owner FROM feed_heads")]

    async def events(self, owner: UUID, *, after: int, limit: int) -> list[FeedEvent]:
        parameters = {"owner": owner, "after": after, "limit": limit}
        events = [event_from(row) for row in await fetch_all(self._pool, _EVENTS, parameters)]
        # Numbers follow each other, so only trimming leaves a hole, or nothing, behind a place in the feed.
        if events[0].seq > after + 1 if events else after < await self._floor(owner):
            raise FeedTrimmedError
        return events

    async def _floor(self, owner: UUID) -> int:
        heads = await self._heads([owner])
        return heads[owner].floor if heads else 0

    async def _heads(self, owners: Sequence[UUID]) -> dict[UUID, FeedHead]:
        return {
            row["owner"]: FeedHead(epoch=row["epoch"], seq=row["seq"], floor=row["floor"])
            for row in await fetch_all(self._pool, _HEADS, {"owners": list(owners)})
        }
