"""One API for all tests of its routes; every test has a user of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from shared.bootstrap import Backends, open_backends
from shared.settings import Settings
from tests.support.callers import Caller, calling, tokens_of
from tests.support.running import serving
from tests.support.terminal import Terminal


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


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A shell in which nobody has logged in, and no stack has its home."""
    for name in ("XDG_CONFIG_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("DOCRELAY_USERNAME", "DOCRELAY_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCRELAY_HOME", str(tmp_path / "stack"))
    return Terminal(folder=tmp_path)


@pytest.fixture
def shell(nobody: Terminal, me: Caller, api: str, stack_settings: Settings) -> Terminal:
    """A shell of `me`, who has logged in."""
    nobody.keep(base_url=api, access_token=tokens_of(stack_settings).access(me.user, uuid4()), refresh_token="-")
    return nobody
