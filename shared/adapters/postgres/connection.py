"""The connection pool, and psycopg's errors as ours."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from shared.errors import BackendUnavailableError, ConfigurationError

Pool = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]]
Row = DictRow
Parameters = Mapping[str, Any]

CHECKOUT_SECONDS = 10.0
# No statement of ours takes long; a server that does not answer for so long is as good as gone.
_ANSWER_SECONDS = 20.0
# By a statement: PGTZ in the environment overrides what a connection's options say, which PgBouncer refuses anyway.
_SESSION = """
SELECT set_config('TimeZone', 'UTC', false), set_config('statement_timeout', '15s', false),
       set_config('idle_in_transaction_session_timeout', '10s', false)
"""
_LIVENESS = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_NO_URL = (
    "DOCRELAY_DATABASE_URL is no PostgreSQL URL. Write postgresql://user:password@host:5432/database, "
    "with %40 for an @ and %2F for a / in the password."
)
ONLY_READS = "PostgreSQL only reads at present, as during a failover."
# The last is our own option's doing: a process that stood still within a transaction has lost its connection.
_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    PoolTimeout,
    TimeoutError,
    psycopg.errors.IdleInTransactionSessionTimeout,
)


@asynccontextmanager
async def open_pool(url: str, *, size: int) -> AsyncIterator[Pool]:
    """Open a pool of at most `size` connections.

    Raises BackendUnavailableError when the server does not answer, ConfigurationError for what is no such URL.
    """
    pool: Pool = AsyncConnectionPool(
        sound_url(url),
        connection_class=psycopg.AsyncConnection[DictRow],
        kwargs={"row_factory": dict_row, "autocommit": True, **_LIVENESS},
        min_size=1,
        max_size=size,
        timeout=CHECKOUT_SECONDS,
        configure=_configure,
        check=_still_open,
        open=False,
    )
    try:
        with translated():
            await pool.open(wait=True, timeout=CHECKOUT_SECONDS)
        yield pool
    finally:
        await pool.close()


async def _still_open(connection: psycopg.AsyncConnection[DictRow]) -> None:
    """Raises OperationalError for a connection that a server which is gone, or was restarted, has left in the pool.

    Such a server has said so, or its system has closed the socket: either way there is something to read. From one that
    is well nothing has come unasked, which is seen without the round trip that asking takes.
    """
    unasked = select.poll()
    unasked.register(connection.fileno(), select.POLLIN)
    if unasked.poll(0):
        await AsyncConnectionPool.check_connection(connection)


async def _configure(connection: psycopg.AsyncConnection[DictRow]) -> None:
    await connection.execute(_SESSION)


def sound_url(url: str) -> str:
    """The URL, if it can be one. Raises ConfigurationError, which like the log tells nothing of a password in it."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigurationError(_NO_URL) from None
    # What stands behind an @ of a password is taken for the server, and would be told as its name. A folder is one too.
    host, database = str(parts.get("host", "")), str(parts.get("dbname", ""))
    if "@" in database or ("@" in host and not host.startswith("/")):
        raise ConfigurationError(_NO_URL)
    return url


class translated:  # noqa: N801 - reads as a word in `with translated():`
    """Turn a lost, refused or silent connection, and a server that only reads, into BackendUnavailableError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, _AWAY):
            raise BackendUnavailableError("PostgreSQL did not answer.") from error
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            raise BackendUnavailableError(ONLY_READS) from error
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            raise BackendUnavailableError(f"PostgreSQL refuses our user: {error.diag.message_primary}.") from error
        if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
            raise BackendUnavailableError(
                "PostgreSQL lacks the schema, or has an old one. Run: docrelay db upgrade"
            ) from error


@asynccontextmanager
async def connected(pool: Pool) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
    """A connection of the pool. Raises BackendUnavailableError."""
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    cancelled_before = task.cancelling()
    with translated():
        async with asyncio.timeout(_ANSWER_SECONDS), pool.connection() as connection:
            # Before Python 3.12 `asyncio.wait_for`, by which the pool waits, drops a cancellation that comes in one
            # turn with the connection: whoever was to end would go on, and whoever waits for that end would for ever.
            if task.cancelling() > cancelled_before:
                raise asyncio.CancelledError
            yield connection


async def fetch_all(pool: Pool, query: str, parameters: Parameters | None = None) -> list[Row]:
    async with connected(pool) as connection:
        cursor = await connection.execute(query.encode(), parameters)
        return await cursor.fetchall()


async def fetch_one(pool: Pool, query: str, parameters: Parameters | None = None) -> Row | None:
    rows = await fetch_all(pool, query, parameters)
    return rows[0] if rows else None


async def execute(pool: Pool, query: str, parameters: Parameters | None = None) -> int:
    """Run a statement without a result; returns the number of rows that it touched."""
    async with connected(pool) as connection:
        cursor = await connection.execute(query.encode(), parameters)
        return cursor.rowcount
