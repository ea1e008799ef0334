"""Which token opens which door, and that no route has been left without one."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from api_service.app import create_app
from shared.accounts import RefreshFamily, User
from shared.bootstrap import Backends
from shared.errors import ConfigurationError
from shared.settings import SAMPLE_SECRETS, Settings
from tests.support.builders import NOW
from tests.support.callers import add_user, tokens_of

CHECKOUT = Path(__file__).resolve().parents[2]
# Whatever is not here asks for a token: a new route has to be named on purpose.
PUBLIC = {
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/version"),
    ("post", "/api/v1/auth/login"),
    ("post", "/api/v1/auth/refresh"),
}
DOORS = ["bearer", "stream bearer", "stream ticket", "refresh"]
OPENS = {("access", "bearer"), ("access", "stream bearer"), ("ticket", "stream ticket"), ("refresh", "refresh")}


@pytest.fixture(scope="module")
async def anybody(api: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
async def operations(anybody: httpx.AsyncClient) -> dict[tuple[str, str], dict[str, Any]]:
    """Every operation of the API's own description, by method and path."""
    paths = (await anybody.get("/openapi.json")).json()["paths"]
    return {(method, path): operation for path, methods in paths.items() for method, operation in methods.items()}


@pytest.fixture
async def tokens(backends: Backends, stack_settings: Settings) -> dict[str, str]:
    """One valid token of each kind."""
    user, issued = await add_user(backends), tokens_of(stack_settings)
    return {
        "access": issued.access(user, uuid4()),
        "ticket": issued.ticket(user, uuid4()),
        "refresh": issued.refresh(user, await family_of(backends, user)),
    }


async def family_of(backends: Backends, user: User) -> RefreshFamily:
    later = NOW + timedelta(days=20_000)
    family = RefreshFamily(id=uuid4(), user_id=user.id, counter=0, rotated_at=NOW, expires_at=later)
    await backends.accounts.start_family(family)
    return family


async def status_at(client: httpx.AsyncClient, door: str, token: str) -> int:
    bearer = {"Authorization": f"Bearer {token}"}
    if door == "bearer":
        return (await client.get("/api/v1/auth/me", headers=bearer)).status_code
    if door == "refresh":
        return (await client.post("/api/v1/auth/refresh", json={"refresh_token": token})).status_code
    query, headers = ({"ticket": token}, {}) if door == "stream ticket" else ({}, bearer)
    async with client.stream("GET", "/api/v1/documents/stream", params=query, headers=headers) as answer:
        return answer.status_code


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", ["access", "ticket", "refresh"])
async def test_each_kind_of_token_opens_its_own_doors_only(
    anybody: httpx.AsyncClient, tokens: dict[str, str], kind: str, door: str
) -> None:
    assert await status_at(anybody, door, tokens[kind]) == (200 if (kind, door) in OPENS else 401)


async def test_stream_ticket_that_the_api_gives_opens_the_stream(
    anybody: httpx.AsyncClient, tokens: dict[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {tokens['access']}"}
    answer = await anybody.post("/api/v1/auth/stream-ticket", headers=headers)
    assert (answer.status_code, answer.json()["expires_in"]) == (200, 60)
    assert await status_at(anybody, "stream ticket", answer.json()["ticket"]) == 200


@pytest.mark.parametrize("kind", ["none", "ticket", "refresh"])
async def test_every_route_but_the_public_ones_refuses_a_caller_without_an_access_token(
    anybody: httpx.AsyncClient,
    operations: dict[tuple[str, str], dict[str, Any]],
    tokens: dict[str, str],
    kind: str,
) -> None:
    headers = {"Authorization": f"Bearer {tokens[kind]}"} if kind in tokens else {}
    open_doors = set()
    for method, path in operations:
        answer = await anybody.request(method, re.sub(r"\{[^}]*\}", str(uuid4()), path), headers=headers)
        problem = answer.headers["content-type"] == "application/problem+json"
        if (answer.status_code, problem, answer.headers.get("www-authenticate")) != (401, True, "Bearer"):
            open_doors.add((method, path))
    assert open_doors == PUBLIC


def test_description_says_which_routes_ask_for_a_token(operations: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert {route for route, operation in operations.items() if not operation.get("security")} == PUBLIC


WEAK = [
    None,
    "",
    "short",
    "0123456789abcdef0123456789abcde",
    *SAMPLE_SECRETS,
    # Long enough, and yet among the first to be tried.
    "change-me-" * 4,
    "0" * 64,
]


@pytest.mark.parametrize("secret", WEAK)
async def test_weak_sample_or_missing_secret_is_refused(
    backends: Backends, stack_settings: Settings, secret: str | None
) -> None:
    settings = stack_settings.model_copy(update={"jwt_secret": None if secret is None else SecretStr(secret)})
    with pytest.raises(ConfigurationError, match="JWT_SECRET"):
        create_app(settings, backends)


async def test_secret_of_thirty_two_bytes_is_accepted(backends: Backends, stack_settings: Settings) -> None:
    settings = stack_settings.model_copy(update={"jwt_secret": SecretStr("0123456789abcdef0123456789abcdef")})
    assert create_app(settings, backends).title == "Docrelay"


async def test_process_with_a_weak_secret_ends_with_2_and_does_not_print_it(
    stack_settings: Settings, tmp_path: Path
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "JWT_SECRET": "weak-canary",
        # It is told before a store is asked for.
        "DOCRELAY_DATABASE_URL": "postgresql://127.0.0.1:1/none",
        "AWS_ENDPOINT_URL": stack_settings.aws_endpoint_url or "",
    }
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "api_service"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = (ended.stdout + ended.stderr).decode()
    assert ended.returncode == 2
    assert "JWT_SECRET" in said
    assert "weak-canary" not in said
