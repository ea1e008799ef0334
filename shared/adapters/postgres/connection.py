"""The connection pool, and psycopg's errors as ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from shared.errors import BackendUnavailableError

Pool = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]]
Row = DictRow
Parameters = Mapping[str, Any]

_CHECKOUT_SECONDS = 10.0


@asynccontextmanager
async def open_pool(url: str, *, size: int) -> AsyncIterator[Pool]:
    """Open a pool of at most `size` connections. Raises BackendUnavailableError when the server does not answer."""
    pool: Pool = AsyncConnectionPool(
        url,
        connection_class=psycopg.AsyncConnection[DictRow],
        kwargs={"row_factory": dict_row, "autocommit": True},
        min_size=1,
        max_size=size,
        timeout=_CHECKOUT_SECONDS,
        # A restarted server leaves dead connections in the pool: one round trip finds them.
        check=AsyncConnectionPool.check_connection,
        open=False,
    )
    try:
        with translated():
            await pool.open(wait=True, timeout=_CHECKOUT_SECONDS)
        yield pool
    finally:
        await pool.close()


class translated:  # noqa: N801 - reads as a word in `with translated():`
    """Turn a lost or refused connection into BackendUnavailableError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | PoolTimeout):
            raise BackendUnavailableError("PostgreSQL did not answer.") from error


async def fetch_all(pool: Pool, query: str, parameters: Parameters | None = None) -> list[Row]:
    with translated():
        async with pool.connection() as connection:
            cursor = await connection.execute(query.encode(), parameters)
            return await cursor.fetchall()


async def fetch_one(pool: Pool, query: str, parameters: Parameters | None = None) -> Row | None:
    rows = await fetch_all(pool, query, parameters)
    return rows[0] if rows else None


async def execute(pool: Pool, query: str, parameters: Parameters | None = None) -> int:
    """Run a statement without a result; returns the number of rows that it touched."""
    with translated():
        async with pool.connection() as connection:
            cursor = await connection.execute(query.encode(), parameters)
            return cursor.rowcount
