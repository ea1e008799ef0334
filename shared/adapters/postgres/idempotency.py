"""PostgresIdempotencyStore: answers by key."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from shared.adapters.postgres.connection import Pool, Row, connected, fetch_one
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


async def keep(connection: psycopg.AsyncConnection[Row], record: IdempotencyRecord) -> bool:
    """Keep an answer in the connection's transaction; False when the key has one."""
    cursor = await connection.execute(_REMEMBER.encode(), asdict(record) | {"answer": Jsonb(record.answer)})
    return cursor.rowcount == 1


class PostgresIdempotencyStore:
    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    async def recall(self, owner: UUID, key_hash: str, *, now: datetime) -> IdempotencyRecord | None:
        row = await fetch_one(self._pool, _RECALL, {"owner": owner, "key_hash": key_hash, "now": now})
        return IdempotencyRecord(**row) if row else None

    async def remember(self, record: IdempotencyRecord) -> bool:
        async with connected(self._pool) as connection:
            return await keep(connection, record)
