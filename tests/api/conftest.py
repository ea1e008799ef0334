"""One API for all tests of its routes; every test has a user of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from shared.bootstrap import Backends, open_backends
from shared.settings import Settings
from tests.support.callers import Caller, calling
from tests.support.running import serving


@pytest.fixture(scope="session")
async def api(stack_settings: Settings) -> AsyncIterator[str]:
    async with serving(stack_settings) as base_url:
        yield base_url


@pytest.fixture(scope="session")
async def backends(stack_settings: Settings) -> AsyncIterator[Backends]:
    """Opened once: opening them for each test costs more than most of the tests."""
    async with open_backends(stack_settings) as opened:
        yield opened


@pytest.fixture
async def client(api: str, stack_settings: Settings, backends: Backends) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(api, stack_settings, backends) as caller:
        yield caller.client


@pytest.fixture
async def stranger(api: str, stack_settings: Settings, backends: Backends) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(api, stack_settings, backends) as caller:
        yield caller.client


@pytest.fixture
async def me(api: str, stack_settings: Settings, backends: Backends) -> AsyncIterator[Caller]:
    async with calling(api, stack_settings, backends) as caller:
        yield caller
