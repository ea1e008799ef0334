"""The ground for small scenarios: the emulator and PostgreSQL of the run, with a database and queues of their own."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.bootstrap import Backends, open_backends, provision
from shared.settings import Settings
from tests.chaos.live.ground import Ground, chaotic
from tests.contracts.conftest import on_dynamodb
from tests.support.openai_server import OpenAIServer


@pytest.fixture
def chance() -> random.Random:
    """Another seed at each run. `python -m tests.chaos` takes one by hand."""
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.fixture(params=["postgres", "dynamodb"])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def small(store: str, own_settings: Settings, tmp_path: Path) -> Ground:
    settings = chaotic(own_settings, store=store, table=own_settings.bucket)
    await provision(settings)
    return Ground(settings=settings, folder=tmp_path, postgres=None)


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
async def staged_settings(store: str, own_settings: Settings, model: OpenAIServer) -> Settings:
    """Those of a stack of the test's own, with a model to ask."""
    own = await on_dynamodb(own_settings) if store == "dynamodb" else own_settings
    given = {"openai_api_key": "sk-nobodys", "openai_base_url": model.base_url}
    return Settings.load(_env_file=None, **{**own.model_dump(), **given})


@pytest.fixture
async def staged_backends(staged_settings: Settings) -> AsyncIterator[Backends]:
    async with open_backends(staged_settings) as opened:
        yield opened
