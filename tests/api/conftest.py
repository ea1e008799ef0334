"""One API for all tests of its routes; every test has a user of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from shared.settings import Settings
from tests.support.running import logged_in, serving


@pytest.fixture(scope="session")
async def api(stack_settings: Settings) -> AsyncIterator[str]:
    async with serving(stack_settings) as base_url:
        yield base_url


@pytest.fixture
async def client(api: str, stack_settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with logged_in(api, stack_settings) as client:
        yield client


@pytest.fixture
async def stranger(api: str, stack_settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with logged_in(api, stack_settings) as client:
        yield client
