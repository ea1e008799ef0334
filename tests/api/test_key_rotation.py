"""A change of the signing key: tokens of the key before count as long as it is named, and no others."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from api_service.app import create_app
from shared.accounts import User
from shared.bootstrap import Backends
from shared.errors import ConfigurationError
from shared.settings import SAMPLE_SECRETS, Settings
from tests.support.access import PREFIX
from tests.support.callers import add_user, tokens_of

OLD, NEW, OTHER = ("".join(reversed("0123456789abcdef")) + name * 16 for name in ("o", "n", "x"))


def keyed(settings: Settings, secret: str, previous: str | None = None) -> Settings:
    named = {"jwt_secret": SecretStr(secret), "jwt_secret_previous": SecretStr(previous) if previous else None}
    return settings.model_copy(update=named)


async def status_with(settings: Settings, backends: Backends, token: str) -> int:
    transport = httpx.ASGITransport(create_app(settings, backends))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://api{PREFIX}") as client:
        return (await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})).status_code


@pytest.fixture(scope="module")
async def user(backends: Backends) -> User:
    return await add_user(backends)


@pytest.mark.parametrize(
    ("signed_with", "accepted_with", "status"),
    [
        (OLD, (NEW, OLD), 200),
        (NEW, (NEW, OLD), 200),
        (OTHER, (NEW, OLD), 401),
        (OLD, (NEW, None), 401),
        (NEW, (OLD, None), 401),
        # Before the change, where nobody may notice it.
        (NEW, (OLD, NEW), 200),
    ],
)
async def test_token_counts_while_its_key_is_named(
    stack_settings: Settings,
    backends: Backends,
    user: User,
    signed_with: str,
    accepted_with: tuple[str, str | None],
    status: int,
) -> None:
    token = tokens_of(keyed(stack_settings, signed_with)).access(user, uuid4())
    assert await status_with(keyed(stack_settings, *accepted_with), backends, token) == status


async def test_new_tokens_are_signed_with_the_new_key(stack_settings: Settings, backends: Backends, user: User) -> None:
    services = create_app(keyed(stack_settings, NEW, OLD), backends).state.services
    token = services.authenticator.tokens.access(user, uuid4())
    assert await status_with(keyed(stack_settings, NEW), backends, token) == 200
    assert await status_with(keyed(stack_settings, OLD), backends, token) == 401


@pytest.mark.parametrize("weak", ["short", "0" * 64, SAMPLE_SECRETS[0] * 4])
async def test_weak_previous_key_is_refused_at_start(stack_settings: Settings, backends: Backends, weak: str) -> None:
    with pytest.raises(ConfigurationError, match="JWT_SECRET_PREVIOUS"):
        create_app(keyed(stack_settings, NEW, weak), backends)
