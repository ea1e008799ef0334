"""User administration, and what a change does to the tokens that are out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared.accounts import Role
from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.callers import Caller, calling

PASSWORD = "correct horse battery staple"


@pytest.fixture
async def admin(api: str, stack_settings: Settings, backends: Backends) -> AsyncIterator[Caller]:
    async with calling(api, stack_settings, backends, role=Role.ADMIN) as caller:
        yield caller


async def add(admin: Caller, **facts: Any) -> dict[str, Any]:
    name = f"Ada-{uuid4().hex}"
    answer = await admin.client.post("/users", json={"username": name, "password": PASSWORD, **facts})
    assert answer.status_code == 201, answer.text
    user: dict[str, Any] = answer.json()
    return user


async def log_in(admin: Caller, user: dict[str, Any], password: str = PASSWORD) -> httpx.Response:
    return await admin.client.post("/auth/login", json={"username": user["username"], "password": password})


async def me(admin: Caller, token: str) -> httpx.Response:
    return await admin.client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("role", ["user", "admin"])
async def test_added_user_logs_in_with_its_role(admin: Caller, role: str) -> None:
    user = await add(admin, role=role)
    token = (await log_in(admin, user)).json()["access_token"]
    assert (await me(admin, token)).json() == {"id": user["id"], "username": user["username"], "role": role}
    assert set(user) == {"id", "username", "role", "disabled", "created_at"}


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("GET", ""), ("PATCH", "/admin")])
async def test_who_is_no_admin_is_refused(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, f"/users{path}", json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_taken_name_is_refused_in_any_case(admin: Caller) -> None:
    user = await add(admin)
    answer = await admin.client.post("/users", json={"username": user["username"].upper(), "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"password": "short"}, "password"),
        ({"username": ""}, "username"),
        ({"username": "two words"}, "username"),
        ({"username": "x" * 65}, "username"),
        ({"role": "root"}, "role"),
        ({"is_admin": True}, "is_admin"),
    ],
)
async def test_wrong_user_is_a_problem_that_names_the_field_and_no_password(
    admin: Caller, wrong: dict[str, Any], field: str
) -> None:
    answer = await admin.client.post("/users", json={"username": uuid4().hex, "password": PASSWORD, **wrong})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert PASSWORD not in answer.text
    assert "short" not in answer.text.replace("at least 12", "")


async def test_list_goes_on_page_by_page(admin: Caller) -> None:
    names = {(await add(admin))["username"] for _ in range(3)}
    seen: list[str] = []
    query: dict[str, str | int] | None = {"limit": 20}
    while query:
        page = (await admin.client.get("/users", params=query)).json()
        seen += [user["username"] for user in page["items"]]
        query = {"limit": 20, "cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert names <= set(seen)
    assert len(seen) == len(set(seen))


async def test_disabled_user_is_out_at_once_and_in_again_when_enabled(admin: Caller) -> None:
    user = await add(admin)
    tokens = (await log_in(admin, user)).json()
    answer = await admin.client.patch(f"/users/{user['username']}", json={"disabled": True})
    assert (answer.status_code, answer.json()["disabled"]) == (200, True)
    assert (await me(admin, tokens["access_token"])).status_code == 401
    refresh = await admin.client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert (refresh.status_code, (await log_in(admin, user)).status_code) == (401, 401)
    await admin.client.patch(f"/users/{user['username']}", json={"disabled": False})
    assert (await log_in(admin, user)).status_code == 200


async def test_new_password_replaces_the_old_one_and_ends_its_tokens(admin: Caller) -> None:
    user = await add(admin)
    token = (await log_in(admin, user)).json()["access_token"]
    await admin.client.patch(f"/users/{user['username']}", json={"password": f"{PASSWORD} 2"})
    assert (await me(admin, token)).status_code == 401
    assert (await log_in(admin, user)).status_code == 401
    assert (await log_in(admin, user, f"{PASSWORD} 2")).status_code == 200


@pytest.mark.parametrize("name", ["Ada Berg", "ada/berg", "ada\n"])
async def test_name_that_cannot_be_is_told_why(admin: Caller, name: str) -> None:
    refused = await admin.client.post("/users", json={"username": name, "password": PASSWORD})
    assert refused.status_code == 422
    reason = "Must have no spaces, control characters or slashes."
    assert refused.json()["errors"] == [{"field": "username", "detail": reason}]


async def test_change_of_nothing_and_of_nobody_is_refused(admin: Caller) -> None:
    user = await add(admin)
    assert (await admin.client.patch(f"/users/{user['username']}", json={})).status_code == 422
    assert (await admin.client.patch(f"/users/{uuid4().hex}", json={"disabled": True})).status_code == 404


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "user"}])
async def test_admin_cannot_lock_the_own_door(admin: Caller, change: dict[str, Any]) -> None:
    answer = await admin.client.patch(f"/users/{admin.user.name}", json=change)
    assert (answer.status_code, answer.json()["code"]) == (409, "own_account")


async def test_body_beyond_the_limit_is_not_read(admin: Caller) -> None:
    document = await admin.document()
    for path in ("/users", f"/documents/{document.id}/process"):
        answer = await admin.client.post(path, content=b"{" + b" " * 9_000 + b"}")
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
