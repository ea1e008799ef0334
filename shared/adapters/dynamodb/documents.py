"""DynamoDBDocumentStore: documents, their history and, in the same transaction, their feed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from shared import log
from shared.adapters.dynamodb import indexes, items
from shared.adapters.dynamodb.expressions import (
    NEW,
    STORED,
    Item,
    Key,
    Request,
    Values,
    delete,
    expressed,
    plain,
    put,
    update,
)
from shared.adapters.dynamodb.idempotency import keeping
from shared.adapters.dynamodb.ledger_erasure import forget_calls
from shared.adapters.dynamodb.moves import MoveTransaction, check
from shared.adapters.dynamodb.table import BATCH_GET_KEYS, CanceledError, Table, pauses
from shared.document import (
    CLOCK_SKEW,
    RESEND_AFTER,
    TOMBSTONE_KEPT_FOR,
    Change,
    Document,
    DocumentStatus,
    HistoryEntry,
)
from shared.errors import BackendUnavailableError, KeyTakenError, MoveRefusedError
from shared.events import FeedHead
from shared.idempotency import IdempotencyRecord
from shared.lists import ListFilter, ListPosition
from shared.ports import Holdings

S = DocumentStatus
_log = log.get(__name__)
_WORKING: Values = {"processing": S.PROCESSING, "analyzing": S.ANALYZING}
_IS_WORKING = "#status IN (:processing, :analyzing)"
_CONCURRENT_WRITES = 16
_HEADS_AHEAD = 1_000
# The sweep removes a tombstone and what it finds under it; time to live is for a table that nobody sweeps any more.
_TTL_AFTER_DUE = timedelta(days=7)


class DynamoDBDocumentStore:
    def __init__(self, *, table: Table) -> None:
        self._table = table
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        # Read together with a document, for its owner's next move. The table refuses one that is old.
        self._heads_ahead: dict[UUID, FeedHead] = {}

    async def ping(self) -> None:
        await self._table.get(items.key("PING", "PING"))

    async def insert(self, document: Document) -> bool:
        values = {**items.document_key(document.id), **items.document_values(document)}
        # The client tries again by itself after a lost reply: then what is there is this very document.
        return await self._table.put(put(values, condition=NEW)) or await self.get(document.id) == document

    async def get(self, document_id: UUID, *, owner: UUID | None = None) -> Document | None:
        key = items.document_key(document_id)
        stored = await (self._with_head(key, owner) if owner else self._table.get(key))
        return items.document_from(stored) if stored else None

    async def find(self, document_id: UUID, *, owner: UUID) -> Document | None:
        document = await self.get(document_id)
        if document is None or document.owner != owner or document.status is S.DELETING:
            return None
        return document

    async def page(self, owner: UUID, *, where: ListFilter, limit: int, after: ListPosition | None) -> list[Document]:
        """Never older than a feed cursor that was read before: what the index names is read from the table itself.

        A document that is being created may be missing for as long as the index lags, usually milliseconds.
        """
        found: list[Document] = []
        before = items.list_order(after.created_at, after.id) if after else None
        while len(found) < limit:
            # What only the documents themselves know is looked for a batch at a time.
            wanted = max(limit - len(found), BATCH_GET_KEYS if indexes.has_more_to_ask(where) else 0)
            entries = await indexes.listed(self._table, owner, where=where, limit=wanted, before=before)
            documents = await self._documents([entry.document_id for entry in entries])
            found += [one for one in documents if one.status is not S.DELETING and where.admits(one)]
            if len(entries) < wanted:
                break
            before = entries[-1].order
        return found[:limit]

    async def holdings(self, owner: UUID, *, with_bytes: bool) -> Holdings:
        """From the index, half a read unit for about twenty documents; their bytes are a read unit for each."""
        entries = await indexes.listed(self._table, owner, where=ListFilter(), limit=None, before=None)
        kept = [entry.document_id for entry in entries if entry.status != S.DELETING]
        documents = await self._documents(kept) if with_bytes else []
        return Holdings(documents=len(kept), size_bytes=sum(one.size for one in documents if one.status != S.DELETING))

    async def history(self, document_id: UUID) -> list[HistoryEntry]:
        return [entry for stored in await self._history(document_id) for entry in items.history_in(stored)]

    async def apply(self, *changes: Change, remember: IdempotencyRecord | None = None) -> None:
        check(changes)
        answer = keeping(remember, now=changes[-1].after.updated_at) if remember else None
        owner = changes[0].before.owner
        # One at a time of each owner: moves of the same process would cancel each other, and a canceled transaction is
        # paid for like any other.
        async with self._turns.setdefault(owner, asyncio.Lock()):
            await self._apply(owner, changes, answer)

    async def _apply(self, owner: UUID, changes: Sequence[Change], answer: Request | None) -> None:
        head = self._heads_ahead.pop(owner, None) or await self._head(owner)
        for tried, pause in enumerate(pauses()):
            transaction = MoveTransaction(changes=changes, head=head, answer=answer)
            try:
                await self._table.transact(*transaction.actions())
            except CanceledError as exc:
                if transaction.refused_by(exc.codes):
                    return await self._recognise(changes)
                if transaction.answered_by_another(exc.codes):
                    raise KeyTakenError from exc
                head = transaction.head_found_by(exc)
            else:
                return None
            # Another process was faster and has taken the number. In a crowd, the next one is as good as taken too.
            if head is None or tried:
                await asyncio.sleep(pause)
                head = await self._head(owner)
        raise BackendUnavailableError("DynamoDB: too many moves of one owner at the same time.")

    async def postpone(self, document: Document, *, due_at: datetime) -> None:
        await self._put_off(
            document.id,
            due_at,
            condition="#version = :version AND #send = :send AND attribute_exists(#due_at)",
            given={"version": document.version, "send": document.send},
        )

    async def count_send(self, document: Document, *, due_at: datetime) -> Document | None:
        counted = replace(document, send=document.send + 1, due_at=due_at)
        # When a reply is lost, the client's next try is refused, and nobody sends: the document is due again soon.
        first = await self._put_off(
            document.id,
            due_at,
            {"send": counted.send},
            condition="#version = :version AND #send = :send AND #due_at = :was_due_at",
            given={"version": document.version, "send": document.send, "was_due_at": document.due_at},
        )
        return counted if first else None

    async def extend_lease(self, document_id: UUID, *, fence: int, until: datetime) -> bool:
        return await self._put_off(
            document_id,
            until,
            {"lease_until": until},
            condition=f"#fence = :fence AND {_IS_WORKING}",
            given={"fence": fence, **_WORKING},
        )

    async def expire_leases(self, holder: str, *, now: datetime) -> int:
        condition, given = f"#lease_holder = :holder AND {_IS_WORKING}", {"holder": holder, **_WORKING}
        # A claim so fresh that the index does not show it runs out by itself.
        leased = await indexes.due(self._table, where=condition, given=given)
        return await self._put_off_all(leased, now, {"lease_until": now - CLOCK_SKEW}, condition=condition, given=given)

    async def hasten(self, *, now: datetime) -> int:
        status = {"pending": S.PENDING, **_WORKING}
        waiting = await indexes.due(self._table, where="#status IN (:pending, :processing, :analyzing)", given=status)
        condition = f"#status = :pending OR ({_IS_WORKING} AND #lease_until <= :now)"
        return await self._put_off_all(waiting, now, condition=condition, given={**status, "now": now})

    async def due(self, *, now: datetime, limit: int) -> list[Document]:
        readable = []
        for stored in await self._stored(await indexes.due(self._table, until=now, limit=limit)):
            try:
                readable.append(items.document_from(stored))
            except ValueError:
                await self._pass_over(plain(stored), now=now)
        return [document for document in readable if document.due_at is not None and document.due_at <= now]

    async def discard(self, document: Document) -> None:
        same = {"version": document.version}
        await self._table.delete(delete(items.document_key(document.id), condition="#version = :version", given=same))

    async def entomb(self, document: Document, *, now: datetime) -> None:
        """Events first, then the history that leads to them, the ledger, then the row.

        Whoever was interrupted can begin again.
        """
        stored = await self.get(document.id)
        if stored is None or stored.status is not S.DELETING:
            return
        history = await self._history(document.id)
        erased = dict.fromkeys(("filename", "folder", "reason", "error_code", "error_detail"))
        for key in (key for entry in history for key in items.event_keys(entry, document.owner)):
            await self._table.update(update(key, erased, condition=STORED))
        for version in (plain(entry)["version"] for entry in history):
            await self._table.delete(delete(items.history_key(document.id, version), condition=STORED))
        await forget_calls(self._table, document.owner, document.id)
        due_at = now + TOMBSTONE_KEPT_FOR
        await self._put_off(
            document.id,
            due_at,
            {**items.TOMBSTONE, "ttl": int((due_at + _TTL_AFTER_DUE).timestamp())},
            condition="#status = :deleting",
            given={"deleting": S.DELETING},
        )

    async def _recognise(self, changes: Sequence[Change]) -> None:
        """Return when the stored document is what these changes made: only their reply was lost."""
        stored = await self.get(changes[0].before.id)
        if stored is None or stored.write_id != changes[-1].after.write_id:
            raise MoveRefusedError

    async def _pass_over(self, unreadable: dict[str, Any], *, now: datetime) -> None:
        document_id = items.id_in(unreadable)
        _log.error("document.unreadable", document_id=str(document_id))
        await self._put_off(
            document_id,
            now + RESEND_AFTER,
            condition="#version = :version AND #due_at <= :now",
            given={"version": unreadable["version"], "now": now},
        )

    async def _put_off(
        self, document_id: UUID, due_at: datetime, changes: Values | None = None, *, condition: str, given: Values
    ) -> bool:
        values = {**(changes or {}), **items.due_values(document_id, due_at)}
        return await self._table.update(
            update(items.document_key(document_id), values, condition=condition, given=given)
        )

    async def _put_off_all(
        self,
        document_ids: Sequence[UUID],
        due_at: datetime,
        changes: Values | None = None,
        *,
        condition: str,
        given: Values,
    ) -> int:
        """How many the condition allowed."""
        allowed = 0
        for start in range(0, len(document_ids), _CONCURRENT_WRITES):
            some = document_ids[start : start + _CONCURRENT_WRITES]
            writes = (self._put_off(one, due_at, changes, condition=condition, given=given) for one in some)
            allowed += sum(await asyncio.gather(*writes))
        return allowed

    async def _documents(self, document_ids: Sequence[UUID]) -> list[Document]:
        """Those that exist, in this order."""
        return [items.document_from(stored) for stored in await self._stored(document_ids)]

    async def _stored(self, document_ids: Sequence[UUID]) -> list[Item]:
        keys = [items.document_key(one) for one in document_ids]
        found = {stored["PK"]["S"]: stored for stored in await self._table.get_many(keys)}
        return [found[key["PK"]] for key in keys if key["PK"] in found]

    async def _history(self, document_id: UUID) -> list[Item]:
        first = items.history_key(document_id, 0)
        request = expressed(
            {"document": first["PK"], "history": "H#"},
            KeyConditionExpression="PK = :document AND begins_with(SK, :history)",
        )
        return await self._table.query(request)

    async def _with_head(self, key: Key, owner: UUID) -> Item | None:
        """A document and, for the move that comes next, the feed head of its owner."""
        found = {plain(one)["SK"]: one for one in await self._table.get_many([key, items.head_key(owner)])}
        if len(self._heads_ahead) >= _HEADS_AHEAD:
            # Of documents that were read and not moved.
            self._heads_ahead.clear()
        if head := found.get(items.HEAD):
            self._heads_ahead[owner] = items.head_from(head)
        return found.get(items.DOCUMENT)

    async def _head(self, owner: UUID) -> FeedHead | None:
        stored = await self._table.get(items.head_key(owner))
        return items.head_from(stored) if stored else None
