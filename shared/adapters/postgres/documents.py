"""PostgresDocumentStore: documents, their history and, in the same transaction, their feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from shared import log
from shared.adapters.postgres import rows
from shared.adapters.postgres.connection import ONLY_READS, Pool, Row, connected, execute, fetch_all, fetch_one
from shared.adapters.postgres.idempotency import keep
from shared.document import CLOCK_SKEW, RESEND_AFTER, TOMBSTONE_KEPT_FOR, Change, Document, HistoryEntry
from shared.errors import BackendUnavailableError, KeyTakenError, MoveRefusedError
from shared.idempotency import IdempotencyRecord
from shared.lists import ListFilter, ListPosition
from shared.ports import Holdings

_log = log.get(__name__)

_PING = f"""
SELECT current_setting('transaction_read_only')::bool AS only_reads, EXISTS (SELECT {rows.SELECTED} FROM documents)
"""  # noqa: S608 - column names of our own
_INSERT = f"""
INSERT INTO documents ({rows.SELECTED}) VALUES ({", ".join(f"%({column})s" for column in rows.COLUMNS)})
ON CONFLICT (id) DO NOTHING
"""  # noqa: S608 - column names of our own

_SET = ", ".join(
    f"{column} = %({column})s" for column in rows.COLUMNS if column not in {"id", "owner", "created_at", "send"}
)

# One move. The feed's head is locked last and until commit, so the order of commits is the order of `seq`.
# `send` is raised by sweepers on their own: a move only sets it when a new run begins.
_MOVE = f"""
WITH moved AS (
    UPDATE documents SET {_SET}, send = CASE WHEN run = %(run)s THEN send ELSE %(send)s END
    WHERE id = %(id)s AND version = %(from_version)s AND fence = %(from_fence)s AND status = %(from_status)s
    RETURNING id, owner
), logged AS (
    INSERT INTO document_history (document_id, version, from_status, to_status, at, run, attempt, fence, reason)
    SELECT id, %(version)s, %(from_status)s, %(status)s, %(updated_at)s, %(run)s, %(attempt)s, %(fence)s, %(reason)s
    FROM moved
), head AS (
    INSERT INTO feed_heads (owner, seq) SELECT owner, 1 FROM moved
    ON CONFLICT (owner) DO UPDATE SET seq = feed_heads.seq + 1
    RETURNING owner, seq
)
INSERT INTO feed_events (owner, seq, document_id, filename, folder, version, status, at, attempt, reason,
                         error_code, error_detail)
SELECT owner, seq, %(id)s, %(filename)s, %(folder)s, %(version)s, %(event_status)s, %(updated_at)s, %(attempt)s,
       %(reason)s, %(failure_code)s, %(failure_detail)s
FROM head
"""  # noqa: S608

_HOLDINGS = """
SELECT count(*) AS documents, coalesce(sum(size), 0)::bigint AS size_bytes
FROM documents WHERE owner = %(owner)s AND status <> 'deleting'
"""
_PAGE = f"""
SELECT {rows.SELECTED} FROM documents
WHERE owner = %(owner)s AND status <> 'deleting'
  AND (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(folder)s::text IS NULL OR folder = %(folder)s OR starts_with(folder, %(folder)s || '/'))
  AND (%(content_type)s::text IS NULL OR content_type = %(content_type)s)
  AND (%(label)s::text IS NULL OR lower(%(label)s) IN (
      lower(report -> 'analysis' -> 'classification' ->> 'label'), lower(report -> 'classification' ->> 'label')))
  AND (%(name)s::text IS NULL OR strpos(lower(filename), lower(%(name)s)) > 0)
  AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR created_at < %(until)s)
  AND (%(after_id)s::uuid IS NULL OR (created_at, id) < (%(after_at)s, %(after_id)s))
ORDER BY created_at DESC, id DESC LIMIT %(limit)s
"""  # noqa: S608

_ENTOMB = """
WITH tomb AS (
    UPDATE documents
    SET filename = '', folder = '', sha256 = '', blob_key = '', text_key = NULL, report = NULL, pages = NULL,
        words = NULL, title = NULL, author = NULL, authored_at = NULL, options = NULL, failure_code = NULL,
        failure_detail = NULL, size = 0, due_at = %(until)s
    WHERE id = %(id)s AND status = 'deleting'
    RETURNING id, owner
), history AS (
    DELETE FROM document_history USING tomb WHERE document_id = tomb.id
), calls AS (
    DELETE FROM llm_calls USING tomb WHERE document_id = tomb.id
    RETURNING llm_calls.owner, llm_calls.call_key, llm_calls.document_id
), answers AS (
    -- An answer stays while another document of the same text has been served by it.
    DELETE FROM llm_results USING calls
    WHERE llm_results.owner = calls.owner AND llm_results.call_key = calls.call_key AND NOT EXISTS (
        SELECT 1 FROM llm_calls AS others
        WHERE others.owner = calls.owner AND others.call_key = calls.call_key
          AND others.document_id <> calls.document_id
    )
)
UPDATE feed_events SET filename = '', folder = '', reason = NULL, error_code = NULL, error_detail = NULL
FROM tomb WHERE feed_events.owner = tomb.owner AND feed_events.document_id = tomb.id
"""


class PostgresDocumentStore:
    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    async def ping(self) -> None:
        row = await fetch_one(self._pool, _PING)
        if row is None or row["only_reads"]:
            raise BackendUnavailableError(ONLY_READS)

    async def insert(self, document: Document) -> bool:
        return await execute(self._pool, _INSERT, rows.document_row(document)) == 1

    async def get(self, document_id: UUID, *, owner: UUID | None = None) -> Document | None:  # noqa: ARG002 - a move is one statement here
        return await self._one("id = %(id)s", {"id": document_id})

    async def find(self, document_id: UUID, *, owner: UUID) -> Document | None:
        return await self._one(
            "id = %(id)s AND owner = %(owner)s AND status <> 'deleting'", {"id": document_id, "owner": owner}
        )

    async def page(self, owner: UUID, *, where: ListFilter, limit: int, after: ListPosition | None) -> list[Document]:
        parameters = {
            "owner": owner,
            **asdict(where),
            "after_at": after and after.created_at,
            "after_id": after and after.id,
            "limit": limit,
        }
        return [rows.document_from(row) for row in await fetch_all(self._pool, _PAGE, parameters)]

    async def holdings(self, owner: UUID, *, with_bytes: bool) -> Holdings:  # noqa: ARG002 - they cost nothing more here
        row = await fetch_one(self._pool, _HOLDINGS, {"owner": owner})
        return Holdings(**row or {"documents": 0})

    async def history(self, document_id: UUID) -> list[HistoryEntry]:
        query = "SELECT * FROM document_history WHERE document_id = %(id)s ORDER BY version"
        return [rows.history_from(row) for row in await fetch_all(self._pool, query, {"id": document_id})]

    async def apply(self, *changes: Change, remember: IdempotencyRecord | None = None) -> None:
        try:
            moved = await self._write(changes, remember)
        except BackendUnavailableError:
            # The reply was lost, the write may not be: a second try either succeeds or meets its own write.
            moved = await self._write(changes, remember)
        if moved:
            return
        stored = await self.get(changes[0].before.id)
        if stored is None or stored.write_id != changes[-1].after.write_id:
            raise MoveRefusedError

    async def _write(self, changes: Sequence[Change], remember: IdempotencyRecord | None) -> bool:
        """Whether everything was written; nothing is when one change is refused."""
        moved = False
        async with connected(self._pool) as connection, connection.transaction():
            for change in changes:
                cursor = await connection.execute(_MOVE.encode(), rows.change_row(change))
                if cursor.rowcount == 0:
                    raise psycopg.Rollback
            if remember and not await keep(connection, remember):
                raise KeyTakenError
            moved = True
        return moved  # noqa: RET504 - a rollback ends the block above without an error

    async def postpone(self, document: Document, *, due_at: datetime) -> None:
        await execute(
            self._pool,
            "UPDATE documents SET due_at = %(due_at)s"
            " WHERE id = %(id)s AND version = %(version)s AND send = %(send)s AND due_at IS NOT NULL",
            {"id": document.id, "version": document.version, "send": document.send, "due_at": due_at},
        )

    async def count_send(self, document: Document, *, due_at: datetime) -> Document | None:
        row = await fetch_one(
            self._pool,
            f"UPDATE documents SET send = send + 1, due_at = %(due_at)s"  # noqa: S608
            f" WHERE id = %(id)s AND version = %(version)s AND send = %(send)s AND due_at = %(was_due_at)s"
            f" RETURNING {rows.SELECTED}",
            {
                "id": document.id,
                "version": document.version,
                "send": document.send,
                "was_due_at": document.due_at,
                "due_at": due_at,
            },
        )
        return rows.document_from(row) if row else None

    async def extend_lease(self, document_id: UUID, *, fence: int, until: datetime) -> bool:
        touched = await execute(
            self._pool,
            "UPDATE documents SET lease_until = %(until)s, due_at = %(until)s"
            " WHERE id = %(id)s AND fence = %(fence)s AND status IN ('processing', 'analyzing')",
            {"id": document_id, "fence": fence, "until": until},
        )
        return touched == 1

    async def expire_leases(self, holder: str, *, now: datetime) -> int:
        return await execute(
            self._pool,
            "UPDATE documents SET lease_until = %(expired)s, due_at = %(now)s"
            " WHERE lease_holder = %(holder)s AND status IN ('processing', 'analyzing')",
            {"holder": holder, "now": now, "expired": now - CLOCK_SKEW},
        )

    async def hasten(self, *, now: datetime) -> int:
        return await execute(
            self._pool,
            "UPDATE documents SET due_at = %(now)s"
            " WHERE status = 'pending' OR (status IN ('processing', 'analyzing') AND lease_until <= %(now)s)",
            {"now": now},
        )

    async def due(self, *, now: datetime, limit: int) -> list[Document]:
        query = f"SELECT {rows.SELECTED} FROM documents WHERE due_at <= %(now)s ORDER BY due_at, id LIMIT %(limit)s"  # noqa: S608
        readable = []
        for row in await fetch_all(self._pool, query, {"now": now, "limit": limit}):
            try:
                readable.append(rows.document_from(row))
            except ValueError:
                await self._pass_over(row, until=now + RESEND_AFTER)
        return readable

    async def discard(self, document: Document) -> None:
        await execute(
            self._pool,
            "DELETE FROM documents WHERE id = %(id)s AND version = %(version)s",
            {"id": document.id, "version": document.version},
        )

    async def entomb(self, document: Document, *, now: datetime) -> None:
        async with connected(self._pool) as connection, connection.transaction():
            # One after the other: of two that share an answer, each would leave it to the other.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [str(document.owner)])
            await connection.execute(_ENTOMB.encode(), {"id": document.id, "until": now + TOMBSTONE_KEPT_FOR})

    async def _pass_over(self, row: Row, *, until: datetime) -> None:
        _log.error("document.unreadable", document_id=str(row["id"]))
        await execute(
            self._pool,
            "UPDATE documents SET due_at = %(until)s"
            " WHERE id = %(id)s AND version = %(version)s AND due_at = %(due_at)s",
            row | {"until": until},
        )

    async def _one(self, condition: str, parameters: dict[str, Any]) -> Document | None:
        row = await fetch_one(self._pool, f"SELECT {rows.SELECTED} FROM documents WHERE {condition}", parameters)  # noqa: S608
        return rows.document_from(row) if row else None
