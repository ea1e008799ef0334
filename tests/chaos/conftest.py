"""The ground for small scenarios: the emulator and PostgreSQL of the run, with a database and queues of their own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from shared.bootstrap import provision
from shared.settings import Settings
from tests.chaos.live.ground import Ground, chaotic


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
