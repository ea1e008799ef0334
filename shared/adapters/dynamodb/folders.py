"""DynamoDBFolderStore: an owner's folders from the list index, and their insight from the documents themselves."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from uuid import UUID

from shared.adapters.dynamodb import indexes, items
from shared.adapters.dynamodb.table import BATCH_GET_KEYS, Table
from shared.adapters.dynamodb.tally import Tally
from shared.folders import UNCOUNTED, FolderCount, FolderInsight, contains, with_subfolders
from shared.lists import ListFilter

# Batches under way at the same time; counting one takes longer than waiting for the next three.
_CONCURRENT_READS = 4


class DynamoDBFolderStore:
    def __init__(self, *, table: Table) -> None:
        self._table = table

    async def folders(self, owner: UUID) -> list[FolderCount]:
        """From the index alone, which may be some milliseconds late: half a read unit for about twenty documents."""
        statuses: dict[str, Counter[str]] = {}
        newest: dict[str, datetime] = {}
        for entry in await indexes.listed(self._table, owner, where=ListFilter(), limit=None, before=None):
            if entry.status not in UNCOUNTED:
                statuses.setdefault(entry.folder, Counter())[entry.status] += 1
                # The list is newest first.
                newest.setdefault(entry.folder, entry.created_at)
        return with_subfolders(
            FolderCount(path=path, statuses=counts, newest_at=newest[path]) for path, counts in statuses.items()
        )

    async def insight(self, owner: UUID, folder: str) -> FolderInsight:
        """The index says which documents to read: one read unit for each up to 4 KB, in batches of a hundred."""
        where = ListFilter(folder=folder or None)
        entries = await indexes.listed(self._table, owner, where=where, limit=None, before=None)
        tally = Tally()
        at_once = _CONCURRENT_READS * BATCH_GET_KEYS
        for start in range(0, len(entries), at_once):
            some = [entry.document_id for entry in entries[start : start + at_once]]
            batches = [some[first : first + BATCH_GET_KEYS] for first in range(0, len(some), BATCH_GET_KEYS)]
            await asyncio.gather(*(self._count(batch, folder, tally) for batch in batches))
        return tally.insight()

    async def _count(self, document_ids: list[UUID], folder: str, tally: Tally) -> None:
        for stored in await self._table.get_many([items.document_key(one) for one in document_ids]):
            document = items.document_from(stored)
            if document.status not in UNCOUNTED and contains(folder, document.folder):
                tally.add(document)
