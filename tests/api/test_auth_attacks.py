"""Damaged tokens and headers, at every door; what an attacker would forge is in test_auth_forgeries.py."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.callers import add_user
from tests.support.forging import HEADER, encoded, forged
from tests.support.sse import answer_of

CLAIMS = ["iss", "aud", "exp", "nbf", "iat", "jti", "sub", "epoch", "family"]


@pytest.fixture(scope="module")
async def anybody(api: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{api}/api/v1", timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
async def user_id(backends: Backends) -> UUID:
    return (await add_user(backends)).id


@pytest.fixture
def key(stack_settings: Settings) -> bytes:
    return stack_settings.signing_key()


@pytest.fixture
def claims(user_id: UUID) -> dict[str, Any]:
    now = int(time.time())
    names = {"sub": str(user_id), "jti": uuid4().hex, "family": str(uuid4()), "epoch": 0}
    return {"iss": "docrelay", "aud": "docrelay-api", "iat": now, "nbf": now, "exp": now + 600, **names}


async def status_with(client: httpx.AsyncClient, token: str) -> int:
    answer = await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code


async def test_token_made_here_is_accepted_when_nothing_is_wrong_with_it(
    anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any]
) -> None:
    """Without this, the refusals below would prove nothing."""
    assert await status_with(anybody, forged(HEADER, claims, key)) == 200


@pytest.mark.parametrize("name", CLAIMS)
async def test_token_without_a_claim_is_refused(
    anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any], name: str
) -> None:
    del claims[name]
    assert await status_with(anybody, forged(HEADER, claims, key)) == 401


def damaged(token: str, claims: dict[str, Any]) -> dict[str, str]:
    header, body, signature = token.split(".")
    deep = encoded(b"[" * 5000)
    return {
        "empty": "",
        "dots": "..",
        "no signature": f"{header}.{body}.",
        "no body": f"{header}..{signature}",
        "two parts": f"{header}.{body}",
        "four parts": f"{token}.{signature}",
        "five parts": f"{header}.{header}.{body}.{signature}.{signature}",
        "cut off": token[:-2],
        "cut in half": token[: len(token) // 2],
        "other claims under the same signature": f"{header}.{encoded(claims | {'epoch': 7})}.{signature}",
        "header of a list": f"{encoded(b'[]')}.{body}.{signature}",
        "header not JSON": f"{encoded(b'{')}.{body}.{signature}",
        "header nested deeply": f"{deep}.{body}.{signature}",
        "body nested deeply": f"{header}.{deep}.{signature}",
        "no base64": f"{header}.{body}.!!!",
        "JSON": json.dumps({"protected": header, "payload": body, "signature": signature}),
        "not ASCII": f"{header}.{body}.\xe9",
    }


DAMAGES = list(damaged("a.b.c", {}))


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_token_is_refused_at_every_door(
    anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any], damage: str
) -> None:
    token = damaged(forged(HEADER, claims, key), claims)[damage]
    bearer = {b"Authorization": f"Bearer {token}".strip().encode("latin-1")}
    assert (await anybody.get("/auth/me", headers=bearer)).status_code == 401
    assert (await answer_of(anybody, headers=bearer)).status_code == 401
    assert (await answer_of(anybody, params={"ticket": token})).status_code == 401
    assert (await anybody.post("/auth/refresh", json={"refresh_token": token})).status_code == 401


async def test_token_with_a_nul_inside_is_refused(
    anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any]
) -> None:
    token = forged(HEADER | {"typ": "ticket+jwt"}, claims, key)
    for broken in (f"{token}\0", f"\0{token}", token.replace(".", ".\0")):
        assert (await answer_of(anybody, params={"ticket": broken})).status_code == 401
        assert (await anybody.post("/auth/refresh", json={"refresh_token": broken})).status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "bearer:x", "Token x"])
async def test_header_without_a_bearer_token_is_refused(anybody: httpx.AsyncClient, header: str) -> None:
    given = {"Authorization": header}
    for answer in (await anybody.get("/auth/me", headers=given), await answer_of(anybody, headers=given)):
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
