"""What a scenario stands on when it is run by hand: an emulator and a PostgreSQL server of its own."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg

from docrelay.embedded.emulator import Emulator
from docrelay.embedded.postgres import EmbeddedPostgres
from shared.bootstrap import provision, upgrade_database
from shared.settings import Settings
from tests.chaos.live.waiting import comes

# Short leases keep a scenario quick. The skew that a claim allows for comes on top.
LEASE_SECONDS = 3
_DOWN_SECONDS_MAX = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    settings: Settings
    folder: Path
    postgres: EmbeddedPostgres | None


@asynccontextmanager
async def ground(store: str) -> AsyncIterator[Ground]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="docrelay-chaos-", ignore_cleanup_errors=True) as name:
        # So that no `.env` is read.
        os.chdir(name)
        folder = Path(name)
        emulator, postgres = Emulator(folder=folder / "aws"), None
        if store == "postgres":
            postgres = EmbeddedPostgres(folder=folder / "pg", max_connections=300)
        servers = [emulator, *([postgres] if postgres else [])]
        try:
            for server in servers:
                await asyncio.to_thread(server.start)
            settings = chaotic(_settings(emulator, postgres), store=store)
            upgrade_database(settings)
            await provision(settings)
            yield Ground(settings=settings, folder=folder, postgres=postgres)
        finally:
            for server in servers:
                server.stop()
            os.chdir(before)


def chaotic(settings: Settings, **changed: object) -> Settings:
    """The settings of a scenario: short leases, short polls, a sweep each second."""
    quick = {"lease_seconds": LEASE_SECONDS, "poll_wait_seconds": 1, "sweep_seconds": 1.0, "shutdown_seconds": 2.0}
    return settings.model_copy(update={**quick, **changed})


async def restart_now_and_then(
    postgres: EmbeddedPostgres,
    *,
    chance: random.Random,
    seconds: tuple[float, float],
    note: Callable[[str, str], None],
    calm: asyncio.Event,
    at_most: int | None,
) -> None:
    """Stop the server at once, by force or in order, start it again, and so on until `calm` is set; then it runs."""
    for _ in count() if at_most is None else range(at_most):
        await asyncio.to_thread(chance.choice([postgres.kill, postgres.stop]))
        note("restart", "postgres")
        await asyncio.sleep(chance.uniform(0, _DOWN_SECONDS_MAX))
        await asyncio.to_thread(postgres.start)
        if await comes(calm, seconds=chance.uniform(*seconds)):
            return


def _settings(emulator: Emulator, postgres: EmbeddedPostgres | None) -> Settings:
    return Settings.load(
        _env_file=None,
        aws_endpoint_url=emulator.url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        jwt_secret="0123456789abcdef0123456789abcdef-for-chaos-only",
        openai_api_key=None,
        **({"database_url": _quick(postgres)} if postgres else {}),
    )


def _quick(postgres: EmbeddedPostgres) -> str:
    """Let commits outlive a killed server, which they do without fsync, but not a power cut."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return postgres.url
