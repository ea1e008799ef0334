"""The connection pool, and psycopg's errors as ours."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from shared.errors import BackendUnavailableError, ConfigurationError

T = TypeVar("T")

Connection = psycopg.AsyncConnection[DictRow]
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


class Pool(AsyncConnectionPool[Connection]):
    """psycopg's pool, for tasks that may be cancelled at any time.

    By itself it loses a connection whose user is cancelled as it comes or as it is given back, and with it, at times,
    who is next in the queue; before Python 3.12 it drops such a cancellation, too, for it waits by `asyncio.wait_for`.
    So its work is done by tasks that nobody cancels, which give back what is not wanted any more.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._under_way: set[asyncio.Task[Any]] = set()

    async def getconn(self, timeout: float | None = None) -> Connection:
        getting = self._begin(super().getconn(timeout))
        try:
            return await asyncio.shield(getting)
        except asyncio.CancelledError:
            getting.add_done_callback(self._give_back)
            raise

    async def putconn(self, conn: Connection) -> None:
        await asyncio.shield(self._begin(super().putconn(conn)))

    def _give_back(self, getting: asyncio.Task[Connection]) -> None:
        # At the end of a loop all tasks are cancelled, this one too.
        if not getting.cancelled() and getting.exception() is None:
            self._begin(super().putconn(getting.result()))

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task


@asynccontextmanager
async def open_pool(url: str, *, size: int) -> AsyncIterator[Pool]:
    """Open a pool of at most `size` connections.

    Raises BackendUnavailableError when the server does not answer, ConfigurationError for what is no such URL.
    """
    pool = Pool(
        sound_url(url),
        connection_class=Connection,
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


async def _still_open(connection: Connection) -> None:
    """Raises OperationalError for a connection that a server which is gone, or was restarted, has left in the pool.

    Such a server has said so, or its system has closed the socket: either way there is something to read. From one that
    is well nothing has come unasked, which is seen without the round trip that asking takes.
    """
    unasked = select.poll()
    unasked.register(connection.fileno(), select.POLLIN)
    if unasked.poll(0):
        await AsyncConnectionPool.check_connection(connection)


async def _configure(connection: Connection) -> None:
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
async def connected(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool. Raises BackendUnavailableError."""
    with translated():
        async with asyncio.timeout(_ANSWER_SECONDS), pool.connection() as connection:
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
