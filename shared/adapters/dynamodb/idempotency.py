"""DynamoDBIdempotencyStore: answers by key."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.adapters.dynamodb import items
from shared.adapters.dynamodb.expressions import Key, Request, plain, put
from shared.adapters.dynamodb.table import Table
from shared.clock import Clock
from shared.idempotency import IdempotencyRecord

# Time to live deletes late, up to days: an expired answer is not there for readers, and gives way to a new one.
_FREE = "attribute_not_exists(PK) OR #expires_at <= :now"


class DynamoDBIdempotencyStore:
    def __init__(self, *, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def recall(self, owner: UUID, key_hash: str, *, now: datetime) -> IdempotencyRecord | None:
        stored = await self._table.get(_key(owner, key_hash))
        if stored is None:
            return None
        values = plain(stored)
        expires_at = datetime.fromisoformat(values["expires_at"])
        if expires_at <= now:
            return None
        return IdempotencyRecord(
            owner=owner,
            key_hash=key_hash,
            request_hash=values["request_hash"],
            answer=items.unpacked(values["answer"]),
            status=values["status"],
            expires_at=expires_at,
        )

    async def remember(self, record: IdempotencyRecord) -> bool:
        return await self._table.put(keeping(record, now=self._clock()))


def keeping(record: IdempotencyRecord, *, now: datetime) -> Request:
    """The write that keeps an answer, on condition that its key has none."""
    values = {
        **_key(record.owner, record.key_hash),
        "request_hash": record.request_hash,
        "answer": items.packed(record.answer),
        "status": record.status,
        "expires_at": record.expires_at,
        "ttl": int(record.expires_at.timestamp()),
    }
    return put(values, condition=_FREE, given={"now": now})


def _key(owner: UUID, key_hash: str) -> Key:
    return items.key(f"I#{owner}#{key_hash}", "K")
