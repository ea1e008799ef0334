"""The contract suites of the stores run on each of them; the other suites' store is PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.bootstrap import Backends, open_backends, provision
from shared.settings import Settings


@pytest.fixture(params=["postgres", "dynamodb"])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
async def dynamodb_settings(stack_settings: Settings) -> Settings:
    return await on_dynamodb(stack_settings)


@pytest.fixture(scope="session")
async def on_table(dynamodb_settings: Settings) -> AsyncIterator[Backends]:
    async with open_backends(dynamodb_settings) as opened:
        yield opened


@pytest.fixture(scope="session")
async def in_database(stack_settings: Settings) -> AsyncIterator[Backends]:
    async with open_backends(stack_settings) as opened:
        yield opened


@pytest.fixture
def backends(store: str, request: pytest.FixtureRequest) -> Backends:
    """Not every emulator has a table to open."""
    opened: Backends = request.getfixturevalue("on_table" if store == "dynamodb" else "in_database")
    return opened


@pytest.fixture
async def own_settings(store: str, own_settings: Settings) -> Settings:
    return await on_dynamodb(own_settings) if store == "dynamodb" else own_settings


async def on_dynamodb(settings: Settings) -> Settings:
    """The same backends with a table, named like the bucket, as their store."""
    moved = settings.model_copy(update={"store": "dynamodb", "table": settings.bucket})
    await provision(moved)
    return moved
