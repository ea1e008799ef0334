"""What the Postgres store owes to PostgreSQL: what a statement sees while another is under way, and who has gone."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import conninfo
from pydantic import SecretStr

from shared.adapters.postgres import schema
from shared.adapters.postgres.connection import connected, fetch_one, open_pool, sound_url
from shared.bootstrap import Backends, open_backends, upgrade_database
from shared.errors import BackendUnavailableError, ConfigurationError
from shared.settings import Settings
from tests.contracts.test_call_ledger import analyzing, answer_of, cached, deleted, kept, paid
from tests.support.builders import NOW, new_document
from tests.support.running import until

IN_A_DATABASE_OF_ITS_OWN = pytest.mark.parametrize("store", ["postgres"])
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


@pytest.mark.parametrize("turns", range(4))
async def test_task_that_is_cancelled_as_it_gets_its_connection_ends(stack_settings: Settings, turns: int) -> None:
    async def hold() -> None:
        async with connected(pool):
            await asyncio.Event().wait()

    async def is_waited_for() -> bool:
        return pool.get_stats()["requests_waiting"] == 1

    async with open_pool(stack_settings.database_url.get_secret_value(), size=1) as pool:
        async with connected(pool):
            waiting = asyncio.create_task(hold())
            await until(is_waited_for)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        ended, _ = await asyncio.wait({waiting}, timeout=10)
        assert ended, "the cancellation was lost"
        await fetch_one(pool, "SELECT 1 AS one")


async def test_tasks_that_are_cancelled_at_any_time_lose_no_connection(stack_settings: Settings) -> None:
    chance = random.Random(7)

    async def ask() -> None:
        for _ in range(3):
            await fetch_one(pool, "SELECT 1 AS one")

    async def all_are_back() -> bool:
        stats = pool.get_stats()
        return stats["pool_available"] == stats["pool_size"] and not stats.get("requests_waiting")

    async with open_pool(stack_settings.database_url.get_secret_value(), size=3) as pool:
        for _ in range(400):
            tasks = [asyncio.create_task(ask()) for _ in range(12)]
            for task in tasks:
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
                if chance.random() < 0.7:
                    task.cancel()
            _, stuck = await asyncio.wait(tasks, timeout=10)
            assert not stuck
        await until(all_are_back)


@IN_A_DATABASE_OF_ITS_OWN
async def test_server_that_only_reads_is_away_for_whoever_writes(own_settings: Settings) -> None:
    database = own_settings.database_url.get_secret_value()
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    async with open_backends(own_settings) as reading:
        for asked in (reading.documents.ping(), reading.documents.insert(new_document())):
            with pytest.raises(BackendUnavailableError, match="only reads"):
                await asked


@pytest.mark.parametrize(
    "url", ["hunter2", "postgresql:/me:hunter2@db/d", "postgresql://u:p@hunter2@db/d", "postgresql://u:p@s/hunter2@d"]
)
async def test_url_that_cannot_be_one_is_refused_without_telling_of_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="%40 for an @") as refused:
        async with open_pool(url, size=1):
            raise AssertionError("opened")
    with pytest.raises(ConfigurationError):
        upgrade_database(Settings(database_url=SecretStr(url)))
    assert "hunter2" not in str(refused.value)


def test_url_may_name_a_folder_of_sockets_and_an_escaped_password() -> None:
    for url in ("postgresql://me@/db?host=%2Fhome%2Fme%40corp%2Fpg", "postgresql://me:p%40s%2Fs@db:5432/docrelay"):
        assert sound_url(url) == url


@IN_A_DATABASE_OF_ITS_OWN
async def test_user_who_may_not_is_told_what(own_settings: Settings) -> None:
    """Also that a URL's own options reach the server, and that nothing of ours is sent as one: PgBouncer refuses it."""
    database = own_settings.database_url.get_secret_value()
    role = f"stranger_{uuid4().hex[:12]}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        try:
            weak = conninfo.make_conninfo(database, user=role, options="-c search_path=public,pg_temp")
            settings = own_settings.model_copy(update={"database_url": SecretStr(weak)})
            async with open_backends(settings) as backends:
                with pytest.raises(BackendUnavailableError, match="permission denied for table documents"):
                    await backends.documents.insert(new_document())
            async with open_pool(weak, size=1) as pool:
                row = await fetch_one(pool, "SELECT current_setting('search_path') AS path")
            assert row == {"path": "public,pg_temp"}
            connection.execute(b"DROP TABLE alembic_version")
            with pytest.raises(ConfigurationError, match="permission denied for schema public"):
                upgrade_database(settings)
        finally:
            connection.execute(f"DROP ROLE {role}".encode())


@IN_A_DATABASE_OF_ITS_OWN
async def test_schema_that_is_too_old_is_told_with_its_remedy(own_settings: Settings) -> None:
    async with open_backends(own_settings) as current:
        await current.documents.ping()
        with psycopg.connect(own_settings.database_url.get_secret_value(), autocommit=True) as connection:
            connection.execute("ALTER TABLE documents DROP COLUMN options")
        with pytest.raises(BackendUnavailableError, match="docrelay db upgrade"):
            await current.documents.ping()


@IN_A_DATABASE_OF_ITS_OWN
async def test_schema_of_a_later_version_is_left_alone(own_settings: Settings) -> None:
    database = own_settings.database_url.get_secret_value()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        upgrade_database(own_settings)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


@IN_A_DATABASE_OF_ITS_OWN
async def test_upgrade_does_not_wait_long_for_a_table_with_everybody_behind_it(
    own_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_LOCK_SECONDS", 0.1)
    database = own_settings.database_url.get_secret_value()
    with psycopg.connect(database) as reading, psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0007'")
        reading.execute("LOCK TABLE llm_results IN ACCESS SHARE MODE")
        with pytest.raises(BackendUnavailableError, match="Nothing was changed: try again"):
            upgrade_database(own_settings)


@IN_A_DATABASE_OF_ITS_OWN
async def test_many_insights_leave_connections_to_others(own_settings: Settings, own_backends: Backends) -> None:
    owner, database = uuid4(), own_settings.database_url.get_secret_value()
    connect = psycopg.AsyncConnection.connect
    async with await connect(database) as locking, await connect(database, autocommit=True) as watching:
        await locking.execute("LOCK TABLE documents")
        asked = [asyncio.create_task(own_backends.folders.insight(owner, "")) for _ in range(40)]

        async def some_wait() -> bool:
            return (await watching.execute(WAITING)).rowcount >= 3

        await until(some_wait)
        await own_backends.accounts.has_users()
        await locking.rollback()
        assert {insight.documents for insight in await asyncio.gather(*asked)} == {0}


@IN_A_DATABASE_OF_ITS_OWN
async def test_days_of_more_than_a_year_ago_go(own_backends: Backends) -> None:
    document = await analyzing(own_backends)
    call = await paid(own_backends, document)
    for later, kept_days in ((timedelta(days=399), 1), (timedelta(days=404), 0)):
        await own_backends.retention.trim(now=NOW + later)
        days = await own_backends.ledger.usage(document.owner, since=call.day, until=call.day)
        assert len(days) == kept_days
