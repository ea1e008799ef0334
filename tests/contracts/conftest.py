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
async def opened(stack_settings: Settings, dynamodb_settings: Settings) -> AsyncIterator[dict[str, Backends]]:
    async with open_backends(stack_settings) as postgres, open_backends(dynamodb_settings) as dynamodb:
        yield {"postgres": postgres, "dynamodb": dynamodb}


@pytest.fixture
def backends(store: str, opened: dict[str, Backends]) -> Backends:
    return opened[store]


@pytest.fixture
async def own_settings(store: str, own_settings: Settings) -> Settings:
    return await on_dynamodb(own_settings) if store == "dynamodb" else own_settings


async def on_dynamodb(settings: Settings) -> Settings:
    """The same backends with a table, named like the bucket, as their store."""
    moved = settings.model_copy(update={"store": "dynamodb", "table": settings.bucket})
    await provision(moved)
    return moved
