"""Log-in, log-out and who one is, as a client sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api_service.auth import DUMMY_HASH
from shared.accounts import User
from shared.adapters.argon2 import Argon2Passwords
from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.callers import add_user, client_of, tokens_of
from tests.support.running import PASSWORD
from tests.support.sse import answer_of

CANARY = "canary-that-must-not-come-back"


@pytest.fixture(scope="module")
async def password_hash() -> str:
    return await Argon2Passwords().hash(PASSWORD)


@pytest.fixture
async def user(backends: Backends, password_hash: str) -> User:
    return await add_user(backends, password_hash=password_hash)


@pytest.fixture
async def anybody(api: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    async with httpx.AsyncClient(base_url=f"{api}/api/v1", timeout=30) as client:
        yield client


async def log_in(client: httpx.AsyncClient, user: User) -> dict[str, Any]:
    answer = await client.post("/auth/login", json={"username": user.name, "password": PASSWORD})
    assert answer.status_code == 200
    tokens: dict[str, Any] = answer.json()
    return tokens


def without_request_id(answer: httpx.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "request_id"}


async def test_json_log_in_gives_both_tokens(anybody: httpx.AsyncClient, user: User) -> None:
    tokens = await log_in(anybody, user)
    assert tokens.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 3600)


async def test_oauth2_form_logs_in_too(anybody: httpx.AsyncClient, user: User) -> None:
    form = {"grant_type": "password", "username": user.name, "password": PASSWORD, "scope": ""}
    answer = await anybody.post("/auth/login", data=form)
    assert answer.status_code == 200
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await anybody.get("/auth/me", headers=headers)).json()["username"] == user.name


async def test_user_name_counts_in_any_case(anybody: httpx.AsyncClient, user: User) -> None:
    answer = await anybody.post("/auth/login", json={"username": user.name.upper(), "password": PASSWORD})
    assert answer.status_code == 200


async def test_wrong_password_unknown_user_and_disabled_user_get_the_same_answer(
    anybody: httpx.AsyncClient, backends: Backends, user: User, password_hash: str
) -> None:
    disabled = await add_user(backends, password_hash=password_hash, disabled=True)
    wrong = [(user.name, "wrong"), ("nobody-of-that-name", PASSWORD), (disabled.name, PASSWORD), (user.name, "")]
    answers = [await anybody.post("/auth/login", json={"username": n, "password": p}) for n, p in wrong]
    first, *others = (without_request_id(answer) for answer in answers)
    assert (first["status"], first["code"]) == (401, "unauthorized")
    assert others == [first] * 3
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}


async def test_unknown_name_costs_the_same_hash_as_a_known_one(password_hash: str) -> None:
    """Algorithm, version, memory, passes and lanes: what the time of a check depends on."""
    assert DUMMY_HASH.split("$")[:4] == password_hash.split("$")[:4]
    assert not await Argon2Passwords().verify("", DUMMY_HASH)


async def test_user_name_with_a_nul_is_one_that_nobody_has(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.post("/auth/login", json={"username": "admin\0", "password": PASSWORD})
    assert answer.status_code in {401, 422}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (f'{{"user": "u", "password": "{CANARY}"}}', "application/json"),
        (f'{{"username": "u", "password": ["{CANARY}"]}}', "application/json"),
        (f'{{"username": "u", "password": "{CANARY * 50}"}}', "application/json"),
        (f'{{"username": "u", "password": "{CANARY}"', "application/json"),
        (f'["u", "{CANARY}"]', "application/json"),
        (f'"{CANARY}"', "application/json"),
        (f"password={CANARY}", "application/x-www-form-urlencoded"),
        (f"username=u&password={CANARY * 50}", "application/x-www-form-urlencoded"),
        (f"username=u&password={CANARY}", "text/plain"),
    ],
    ids=["no name", "list", "long", "cut off", "no object", "string", "form, no name", "form, long", "other type"],
)
async def test_malformed_log_in_is_a_problem_that_does_not_repeat_the_password(
    anybody: httpx.AsyncClient, body: str, content_type: str
) -> None:
    answer = await anybody.post("/auth/login", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"]
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("{", "Invalid JSON: EOF while parsing an object at line 1 column 1"),
        ('{"username": "u"}', "password: Field required"),
    ],
)
async def test_detail_of_a_malformed_log_in_says_what_is_wrong(
    anybody: httpx.AsyncClient, body: str, detail: str
) -> None:
    # As curl's -d has it, which is read as what it is.
    answer = await anybody.post(
        "/auth/login", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (answer.status_code, answer.json()["detail"].partition(";")[0]) == (422, detail)


async def test_refresh_as_oauth_libraries_send_it_works(anybody: httpx.AsyncClient, user: User) -> None:
    tokens = (await anybody.post("/auth/login", json={"username": user.name, "password": PASSWORD})).json()
    form = f"grant_type=refresh_token&client_id=app&refresh_token={tokens['refresh_token']}"
    headers = {"Content-Type": "Application/X-WWW-Form-Urlencoded; charset=utf-8"}
    answer = await anybody.post("/auth/refresh", content=form, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["refresh_token"] != tokens["refresh_token"]


async def test_malformed_refresh_does_not_repeat_the_token(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.post("/auth/refresh", json={"refresh_token": [CANARY], "token": CANARY})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "refresh_token")
    assert CANARY not in answer.text


async def test_log_in_of_enormous_size_is_refused(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.post("/auth/login", content=b" " * 10_000)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


async def test_me_says_who_the_caller_is(api: str, stack_settings: Settings, user: User) -> None:
    async with client_of(api, stack_settings, user) as client:
        answer = await client.get("/auth/me")
    assert answer.json() == {"id": str(user.id), "username": user.name, "role": "user"}


async def test_refreshed_tokens_work(anybody: httpx.AsyncClient, user: User) -> None:
    old = await log_in(anybody, user)
    answer = await anybody.post("/auth/refresh", json={"refresh_token": old["refresh_token"]})
    new = answer.json()
    assert new.keys() == old.keys()
    assert new["refresh_token"] != old["refresh_token"]
    headers = {"Authorization": f"Bearer {new['access_token']}"}
    assert (await anybody.get("/auth/me", headers=headers)).status_code == 200
    again = await anybody.post("/auth/refresh", json={"refresh_token": new["refresh_token"]})
    assert again.status_code == 200


async def test_twenty_refreshes_at_once_give_one_successor(anybody: httpx.AsyncClient, user: User) -> None:
    body = {"refresh_token": (await log_in(anybody, user))["refresh_token"]}
    answers = await asyncio.gather(*(anybody.post("/auth/refresh", json=body) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


async def test_log_out_revokes_the_refresh_tokens_of_this_log_in_only(anybody: httpx.AsyncClient, user: User) -> None:
    here, there = await log_in(anybody, user), await log_in(anybody, user)
    out = await anybody.post("/auth/logout", headers={"Authorization": f"Bearer {here['access_token']}"})
    assert (out.status_code, out.content) == (204, b"")
    refused = await anybody.post("/auth/refresh", json={"refresh_token": here["refresh_token"]})
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
    spared = await anybody.post("/auth/refresh", json={"refresh_token": there["refresh_token"]})
    assert spared.status_code == 200


async def test_log_out_revokes_a_successor_that_was_just_issued(anybody: httpx.AsyncClient, user: User) -> None:
    first = await log_in(anybody, user)
    second = (await anybody.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})).json()
    await anybody.post("/auth/logout", headers={"Authorization": f"Bearer {second['access_token']}"})
    for tokens in (first, second):
        answer = await anybody.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert answer.status_code == 401


@pytest.mark.parametrize("revoked_by", [{"disabled": True}, {"token_epoch": 1}], ids=["disabled", "raised epoch"])
async def test_every_token_of_a_revoked_user_is_refused(
    anybody: httpx.AsyncClient, backends: Backends, stack_settings: Settings, revoked_by: dict[str, Any]
) -> None:
    user = await add_user(backends, **revoked_by)
    # As they were issued before: by a user that was not disabled, in epoch 0.
    before = User(id=user.id, name=user.name, password_hash="-", role=user.role, created_at=user.created_at)
    tokens = tokens_of(stack_settings)
    headers = {"Authorization": f"Bearer {tokens.access(before, user.id)}"}
    assert (await anybody.get("/auth/me", headers=headers)).status_code == 401
    query = {"ticket": tokens.ticket(before, user.id)}
    assert (await answer_of(anybody, params=query)).status_code == 401
