"""Real backends for the whole run: one MiniStack and one PostgreSQL, started once, on loopback."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from docrelay.embedded.emulator import Emulator
from docrelay.embedded.postgres import EmbeddedPostgres
from shared import log
from shared.bootstrap import Backends, open_backends, provision, upgrade_database
from shared.settings import Settings
from tests.support.localstack import LocalStack

ADMIN = ("admin", "a-long-enough-password")


_basetemp = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--localstack", action="store_true", help="use LocalStack in MiniStack's place")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give this run temporary folders of its own.

    In pytest's common one, a second run of root's would take away what lets PostgreSQL, which runs as nobody, in.
    """
    if config.option.basetemp is None:
        config.stash[_basetemp] = config.option.basetemp = Path(tempfile.mkdtemp(prefix="docrelay-tests-"))


def pytest_unconfigure(config: pytest.Config) -> None:
    if made := config.stash.get(_basetemp, None):
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _log() -> None:
    """Lines as in production; structlog's own default draws every exception at length."""
    log.configure(level="info", service="tests")


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backends")


@pytest.fixture(scope="session")
def emulator(scratch: Path, pytestconfig: pytest.Config) -> Iterator[Emulator]:
    kind = LocalStack if pytestconfig.getoption("--localstack") else Emulator
    with kind(folder=scratch / "aws") as running:
        yield running


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(folder=scratch / "pg") as running:
        with psycopg.connect(running.url, autocommit=True) as connection:
            # A test's data need not survive a power cut. Crash tests have servers of their own.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("ALTER SYSTEM SET synchronous_commit = off")
            connection.execute("SELECT pg_reload_conf()")
        yield running


@pytest.fixture(scope="session")
async def stack_settings(emulator: Emulator, postgres: EmbeddedPostgres) -> Settings:
    """Settings for the shared backends, provisioned the way every runtime is."""
    settings = settings_for(emulator, postgres.url)
    upgrade_database(settings)
    await provision(settings)
    return settings


@pytest.fixture(scope="session")
async def template(emulator: Emulator, postgres: EmbeddedPostgres) -> str:
    """The name of a database with the newest schema and the first admin, to be copied."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE template_docrelay")
    settings = settings_for(emulator, _database_url(postgres, "template_docrelay"), name="template")
    upgrade_database(settings)
    await provision(settings)
    return "template_docrelay"


@pytest.fixture
async def backends(stack_settings: Settings) -> AsyncIterator[Backends]:
    async with open_backends(stack_settings) as opened:
        yield opened


@pytest.fixture
async def own_settings(emulator: Emulator, postgres: EmbeddedPostgres, template: str) -> AsyncIterator[Settings]:
    """Settings for backends of the test's own: a fresh database, bucket and queue."""
    name = f"t{uuid4().hex[:12]}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    settings = settings_for(emulator, _database_url(postgres, name), name=name)
    await provision(settings)
    yield settings
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
async def own_backends(own_settings: Settings) -> AsyncIterator[Backends]:
    async with open_backends(own_settings) as opened:
        yield opened


def settings_for(emulator: Emulator, database_url: str, *, name: str = "docrelay-test") -> Settings:
    return Settings.load(
        _env_file=None,
        aws_endpoint_url=emulator.url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        database_url=database_url,
        jwt_secret="0123456789abcdef0123456789abcdef-for-tests-only",
        username=ADMIN[0],
        password=ADMIN[1],
        bucket=name,
        queue_name=name,
        lease_seconds=15,
        poll_wait_seconds=1,
        openai_api_key=None,
        port=0,
    )


def _database_url(postgres: EmbeddedPostgres, name: str) -> str:
    return postgres.url.replace("/postgres?", f"/{name}?")
