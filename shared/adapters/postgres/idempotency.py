"""PostgresIdempotencyStore: answers by key."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.adapters.postgres.connection import Pool, execute, fetch_one
from shared.idempotency import IdempotencyRecord

_RECALL = """
SELECT owner, key_hash, request_hash, answer, status, expires_at FROM idempotency_keys
WHERE owner = %(owner)s AND key_hash = %(key_hash)s AND expires_at > %(now)s
"""
# An expired answer gives way; a live one stays.
_REMEMBER = """
INSERT INTO idempotency_keys (owner, key_hash, request_hash, answer, status, expires_at)
VALUES (%(owner)s, %(key_hash)s, %(request_hash)s, %(answer)s, %(status)s, %(expires_at)s)
ON CONFLICT (owner, key_hash) DO UPDATE
SET request_hash = excluded.request_hash, answer = excluded.answer, status = excluded.status,
    expires_at = excluded.expires_at
WHERE idempotency_keys.expires_at <= clock_timestamp()
"""


class PostgresIdempotencyStore:
    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    async def recall(self, owner: UUID, key_hash: str, *, now: datetime) -> IdempotencyRecord | None:
        row = await fetch_one(self._pool, _RECALL, {"owner": owner, "key_hash": key_hash, "now": now})
        return IdempotencyRecord(**row) if row else None

    async def remember(self, record: IdempotencyRecord) -> None:
        await execute(self._pool, _REMEMBER, asdict(record) | {"answer": Jsonb(record.answer)})
