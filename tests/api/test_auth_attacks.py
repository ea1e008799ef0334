"""Forged and damaged tokens, made without the library that the API checks them with (RFC 8725)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr

from shared.bootstrap import open_backends
from shared.settings import Settings
from tests.support.callers import add_user
from tests.support.running import serving
from tests.support.sse import answer_of

CLAIMS = ["iss", "aud", "exp", "nbf", "iat", "jti", "sub", "epoch", "family"]
HEADER = {"typ": "at+jwt", "alg": "HS256"}
ATTACKERS_KEY = b"the attacker's own key, of good length"
ATTACKERS_JWK = {"kty": "oct", "k": base64.urlsafe_b64encode(ATTACKERS_KEY).decode().rstrip("=")}
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def encoded(part: bytes | Mapping[str, Any]) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], key: bytes, *, algorithm: str = "HS256") -> str:
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{encoded(hmac.digest(key, signed.encode(), HASHES[algorithm]))}"


@pytest.fixture(scope="module")
def settings(stack_settings: Settings) -> Settings:
    """With a key that is long enough for every algorithm: no other may be refused for that reason alone."""
    return stack_settings.model_copy(update={"jwt_secret": SecretStr("0123456789abcdef" * 4)})


@pytest.fixture(scope="module")
async def anybody(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings) as base_url, httpx.AsyncClient(base_url=f"{base_url}/api/v1", timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
async def user_id(settings: Settings) -> UUID:
    async with open_backends(settings) as backends:
        return (await add_user(backends)).id


@pytest.fixture
def key(settings: Settings) -> bytes:
    return settings.signing_key()


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


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
async def test_unsigned_token_is_refused(
    anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any], algorithm: str
) -> None:
    header = HEADER | {"alg": algorithm}
    assert await status_with(anybody, f"{encoded(header)}.{encoded(claims)}.") == 401
    assert await status_with(anybody, forged(header, claims, key)) == 401


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_other_algorithm_with_the_right_key_is_refused(
    anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any], algorithm: str
) -> None:
    named = forged(HEADER | {"alg": algorithm}, claims, key, algorithm=algorithm)
    unnamed = forged(HEADER, claims, key, algorithm=algorithm)
    assert await status_with(anybody, named) == 401
    assert await status_with(anybody, unnamed) == 401


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "HS1", "", None, 5, ["HS256"]])
async def test_unknown_algorithm_is_refused(
    anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any], algorithm: object
) -> None:
    assert await status_with(anybody, forged(HEADER | {"alg": algorithm}, claims, key)) == 401


@pytest.mark.parametrize("wrong", [ATTACKERS_KEY, b"", b"docrelay"], ids=["attacker's", "empty", "guessed"])
async def test_other_key_is_refused(anybody: httpx.AsyncClient, claims: dict[str, Any], wrong: bytes) -> None:
    assert await status_with(anybody, forged(HEADER, claims, wrong)) == 401


HEADER_ATTACKS: list[tuple[dict[str, Any], bytes]] = [
    ({"jwk": ATTACKERS_JWK}, ATTACKERS_KEY),
    ({"jku": "http://127.0.0.1:9/keys.json", "kid": "1"}, ATTACKERS_KEY),
    ({"x5u": "http://127.0.0.1:9/chain.pem"}, ATTACKERS_KEY),
    ({"x5c": [ATTACKERS_JWK["k"]]}, ATTACKERS_KEY),
    ({"kid": "../../../../dev/null"}, b""),
    ({"kid": "' UNION SELECT 'a' -- "}, b"a"),
    ({"kid": ATTACKERS_JWK["k"]}, ATTACKERS_KEY),
]


@pytest.mark.parametrize(("more", "wrong"), HEADER_ATTACKS)
async def test_key_that_the_header_names_is_not_used(
    anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any], more: dict[str, Any], wrong: bytes
) -> None:
    assert await status_with(anybody, forged(HEADER | more, claims, wrong)) == 401
    assert await status_with(anybody, forged(HEADER | more, claims, key)) == 200


@pytest.mark.parametrize("name", CLAIMS)
async def test_token_without_a_claim_is_refused(
    anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any], name: str
) -> None:
    del claims[name]
    assert await status_with(anybody, forged(HEADER, claims, key)) == 401


@pytest.mark.parametrize(
    "kind", [None, "", "JWT", "jwt", "AT+JWT", "at+jwt ", "application/at+jwt", "rt+jwt", "ticket+jwt", 5]
)
async def test_token_of_another_type_is_refused(
    anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any], kind: object
) -> None:
    header = {"alg": "HS256"} if kind is None else HEADER | {"typ": kind}
    assert await status_with(anybody, forged(header, claims, key)) == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "another"},
        {"iss": ""},
        {"aud": "another-api"},
        {"aud": []},
        {"exp": 0},
        {"exp": -1},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": 10**20},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"nbf": 4_000_000_000},
        {"sub": "00000000-0000-4000-8000-000000000000"},
        {"sub": "admin"},
        {"sub": "\0"},
        {"sub": None},
        {"sub": 5},
        {"epoch": 1},
        {"epoch": "new"},
        {"family": "none"},
    ],
    ids=str,
)
async def test_claim_with_a_wrong_value_is_refused(
    anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any], wrong: dict[str, Any]
) -> None:
    assert await status_with(anybody, forged(HEADER, claims | wrong, key)) == 401


async def test_expired_token_is_refused(anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any]) -> None:
    assert await status_with(anybody, forged(HEADER, claims | {"exp": claims["iat"] - 1}, key)) == 401


async def test_token_not_yet_valid_is_refused(anybody: httpx.AsyncClient, key: bytes, claims: dict[str, Any]) -> None:
    assert await status_with(anybody, forged(HEADER, claims | {"nbf": claims["iat"] + 60}, key)) == 401


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
