"""PostgresRetention: takes away what is kept no longer."""

from __future__ import annotations

from datetime import datetime

from shared.adapters.postgres.connection import Pool, execute
from shared.events import FEED_KEPT_FOR
from shared.ledger import DAYS_KEPT_FOR

# Some feeds and some events of each at a time: their heads are locked until commit, and moves wait for them.
# An old event behind a younger one stays until that is old too, so what is kept has no hole.
_TRIM = """
WITH feed AS (
    SELECT owner, floor FROM feed_heads
    WHERE EXISTS (
        SELECT FROM feed_events oldest
        WHERE oldest.owner = feed_heads.owner AND oldest.seq = feed_heads.floor + 1 AND oldest.at < %(before)s
    )
    LIMIT 10 FOR UPDATE SKIP LOCKED
), kept AS (
    SELECT feed.owner, coalesce(min(seq) FILTER (WHERE at >= %(before)s), max(seq) + 1) AS first
    FROM feed JOIN feed_events ON feed_events.owner = feed.owner AND seq > feed.floor AND seq <= feed.floor + 1000
    GROUP BY feed.owner
), raised AS (
    UPDATE feed_heads SET floor = kept.first - 1 FROM kept WHERE feed_heads.owner = kept.owner
    RETURNING feed_heads.owner, feed_heads.floor
)
DELETE FROM feed_events USING raised WHERE feed_events.owner = raised.owner AND feed_events.seq <= raised.floor
"""
_EXPIRED = (
    "DELETE FROM idempotency_keys WHERE expires_at <= %(now)s",
    "DELETE FROM refresh_families WHERE expires_at <= %(now)s",
    "DELETE FROM llm_results WHERE expires_at <= %(now)s",
    "DELETE FROM llm_usage WHERE day < %(first_day)s",
    "DELETE FROM llm_budgets WHERE day < %(first_day)s",
)


class PostgresRetention:
    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    async def trim(self, *, now: datetime) -> int:
        first_day = (now - DAYS_KEPT_FOR).date()
        for statement in _EXPIRED:
            await execute(self._pool, statement, {"now": now, "first_day": first_day})
        return await execute(self._pool, _TRIM, {"before": now - FEED_KEPT_FOR})

    async def begin_anew(self) -> int:
        # The column's default is random, for each row another.
        return await execute(self._pool, "UPDATE feed_heads SET epoch = DEFAULT")
