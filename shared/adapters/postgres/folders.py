"""PostgresFolderStore: an owner's folders and what they come to, each by one statement."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from shared.adapters.postgres.connection import CHECKOUT_SECONDS, Pool, Row, fetch_all, fetch_one, translated
from shared.folders import (
    COUNTED,
    FolderCount,
    FolderInsight,
    Period,
    Spent,
    Spread,
    mean_score,
    most_frequent,
    with_subfolders,
)

_FOLDERS = """
SELECT folder, jsonb_object_agg(status, documents) AS statuses, max(newest_at) AS newest_at
FROM (
    SELECT folder, status, count(*) AS documents, max(created_at) AS newest_at FROM documents
    WHERE owner = %(owner)s AND status NOT IN ('uploading', 'deleting')
    GROUP BY folder, status
) AS counted GROUP BY folder
"""

# The topics are cut here already, because there may be eight of each document.
INSIGHT = """
WITH inside AS MATERIALIZED (
    SELECT id, size, pages, words, content_type, status, created_at, authored_at,
           report -> 'analysis' AS analysis, report -> 'usage' AS usage, report -> 'classification' AS given
    FROM documents
    WHERE owner = %(owner)s AND status NOT IN ('uploading', 'deleting')
      AND (%(folder)s = '' OR folder = %(folder)s OR starts_with(folder, %(folder)s || '/'))
), facts AS (
    SELECT 'types' AS fact, content_type AS value FROM inside
    UNION ALL SELECT 'statuses', status FROM inside
    UNION ALL SELECT 'languages', analysis ->> 'language' FROM inside
    UNION ALL SELECT 'labels', analysis #>> '{classification,label}' FROM inside
    UNION ALL SELECT 'classified', given ->> 'label' FROM inside
    UNION ALL SELECT 'sentiments', analysis #>> '{sentiment,label}' FROM inside
), topics AS (
    SELECT topic, count(*) AS documents
    FROM (SELECT DISTINCT id, jsonb_array_elements_text(analysis -> 'topics') AS topic FROM inside) AS named
    GROUP BY topic ORDER BY documents DESC, topic COLLATE "C" LIMIT 20
), costs AS (
    SELECT sum((usage ->> 'calls')::bigint)::bigint AS calls,
           sum((usage ->> 'input_tokens')::bigint)::bigint AS input_tokens,
           sum((usage ->> 'output_tokens')::bigint)::bigint AS output_tokens,
           sum(round((usage ->> 'cost_usd')::numeric * 1000000))::bigint AS cost_micro_usd,
           count(*) FILTER (WHERE usage ->> 'cost_usd' IS NULL) AS unpriced
    FROM (SELECT usage FROM inside UNION ALL SELECT given -> 'usage' FROM inside) AS bills
    WHERE usage IS NOT NULL
), counted AS (
    SELECT fact, value, count(*) AS documents FROM facts WHERE value IS NOT NULL GROUP BY fact, value
    UNION ALL SELECT 'topics', topic, documents FROM topics
)
SELECT count(*) AS documents,
       count(size) AS size_documents, sum(size)::bigint AS size_total, min(size) AS size_min, max(size) AS size_max,
       count(pages) AS pages_documents, sum(pages) AS pages_total, min(pages) AS pages_min, max(pages) AS pages_max,
       count(words) AS words_documents, sum(words) AS words_total, min(words) AS words_min, max(words) AS words_max,
       min(created_at) AS uploaded_first, max(created_at) AS uploaded_last,
       min(authored_at) AS authored_first, max(authored_at) AS authored_last,
       count(analysis) AS results, sum((analysis #>> '{sentiment,score}')::float8) AS score,
       (SELECT row_to_json(costs) FROM costs) AS spent,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(fact, value, documents)), '[]') FROM counted) AS counts
FROM inside
"""


# All documents of an owner are read: whoever asks for many such answers shall not hold all the pool's connections.
_AT_ONCE = 3


class PostgresFolderStore:
    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def folders(self, owner: UUID) -> list[FolderCount]:
        found = await fetch_all(self._pool, _FOLDERS, {"owner": owner})
        return with_subfolders(
            FolderCount(path=row["folder"], statuses=row["statuses"], newest_at=row["newest_at"]) for row in found
        )

    async def insight(self, owner: UUID, folder: str) -> FolderInsight:
        async with self._turn():
            row = await fetch_one(self._pool, INSIGHT, {"owner": owner, "folder": folder})
        assert row is not None, "an aggregate without groups has one row"
        return FolderInsight(
            documents=row["documents"],
            size=_spread(row, "size"),
            pages=_spread(row, "pages"),
            words=_spread(row, "words"),
            **_counts(row),
            sentiment_score=mean_score(row["score"] or 0.0, row["results"]),
            uploaded=Period(first=row["uploaded_first"], last=row["uploaded_last"]),
            authored=Period(first=row["authored_first"], last=row["authored_last"]),
            spent=Spent(**{name: number or 0 for name, number in row["spent"].items()}),
        )

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Raises BackendUnavailableError when none comes in time, as for a connection."""
        with translated():
            async with asyncio.timeout(CHECKOUT_SECONDS):
                await self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release()


def _spread(row: Row, name: str) -> Spread:
    return Spread(
        documents=row[f"{name}_documents"],
        total=row[f"{name}_total"] or 0,
        smallest=row[f"{name}_min"],
        largest=row[f"{name}_max"],
    )


def _counts(row: Row) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}
    for fact, value, documents in row["counts"]:
        counts[fact][value] = documents
    return {name: most_frequent(counter) for name, counter in counts.items()}
