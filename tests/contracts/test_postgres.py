"""What the Postgres store owes to PostgreSQL: what a statement sees while another is under way, and who has gone."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import psycopg

from shared.adapters.postgres.connection import connected, fetch_one, open_pool
from shared.bootstrap import Backends
from shared.settings import Settings
from tests.contracts.test_call_ledger import analyzing, answer_of, cached, deleted, kept, paid
from tests.support.builders import NOW
from tests.support.running import until

WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_two_documents_erased_at_once_do_not_leave_their_answer_to_each_other(
    stack_settings: Settings, in_database: Backends
) -> None:
    owner = uuid4()
    first, second = await analyzing(in_database, owner), await analyzing(in_database, owner)
    call = await paid(in_database, first)
    await in_database.ledger.reuse(cached(second), saved=answer_of(call))
    gone = [await deleted(in_database, one) for one in (first, second)]
    url = stack_settings.database_url.get_secret_value()
    connect = psycopg.AsyncConnection.connect
    async with await connect(url) as other, await connect(url, autocommit=True) as watching:
        await other.execute("SELECT FROM documents WHERE owner = %s FOR UPDATE", [owner])

        async def both_wait() -> bool:
            return (await watching.execute(WAITING)).rowcount == 2

        erasing = [asyncio.create_task(in_database.documents.entomb(one, now=NOW)) for one in gone]
        await until(both_wait)
        await other.commit()
        await asyncio.gather(*erasing)
    assert await kept(in_database, call) is None


async def test_connection_that_the_server_has_ended_is_not_used_again(stack_settings: Settings) -> None:
    url = stack_settings.database_url.get_secret_value()
    async with open_pool(url, size=3) as pool, await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
        async with AsyncExitStack() as held:
            servers = [(await held.enter_async_context(connected(pool))).info.backend_pid for _ in range(3)]
        for server in servers:
            await other.execute("SELECT pg_terminate_backend(%s, 5000)", [server])
        found = [await fetch_one(pool, "SELECT pg_backend_pid() AS server") for _ in range(3)]
    assert not {row and row["server"] for row in found} & {None, *servers}
