"""The audit log: who was let in, kept out, or changed something, from where, and nothing that is secret."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from api_service.app import create_app
from shared.accounts import Role, User
from shared.adapters.argon2 import Argon2Passwords
from shared.bootstrap import Backends
from shared.clock import utc_now
from shared.settings import Settings
from tests.support.access import PREFIX
from tests.support.builders import S
from tests.support.callers import Caller, add_user, tokens_of
from tests.support.log_lines import logged
from tests.support.running import PASSWORD

ADDRESS = "192.0.2.7"


@pytest.fixture(scope="module")
async def admin(backends: Backends) -> User:
    hashed = await Argon2Passwords().hash(PASSWORD)
    return await add_user(backends, password_hash=hashed, role=Role.ADMIN)


@pytest.fixture
async def api(stack_settings: Settings, backends: Backends) -> AsyncIterator[httpx.AsyncClient]:
    limits = {"login_limit_name": "2/minute", "stream_seconds": 0.1, "admin_stream_tick_seconds": 0.05}
    app = create_app(stack_settings.model_copy(update=limits), backends)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=(ADDRESS, 1)), base_url=f"http://api{PREFIX}"
        ) as client,
    ):
        yield client


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    with logged() as stream:
        yield stream


def audited(lines: io.StringIO) -> list[dict[str, Any]]:
    """The audit lines, each with when, from where and in which request."""
    found = [line for line in map(json.loads, lines.getvalue().splitlines()) if line["event"] == "audit"]
    for line in found:
        assert (line["address"], line["level"]) == (ADDRESS, "info")
        assert line["timestamp"].endswith("Z")
        assert line["request_id"]
    return found


def told(lines: io.StringIO) -> list[tuple[str, str, str | None]]:
    return [(line["action"], line["result"], line["user_id"]) for line in audited(lines)]


def bearer(settings: Settings, user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens_of(settings).access(user, uuid4())}"}


async def test_log_ins_are_recorded_whether_they_succeed_or_not(
    api: httpx.AsyncClient, admin: User, lines: io.StringIO
) -> None:
    for name, word in ((admin.name, PASSWORD), (admin.name, "no"), ("nobody", "no"), (admin.name, "no")):
        await api.post("/auth/login", json={"username": name, "password": word})
    await api.post("/auth/login", json={"username": admin.name, "password": PASSWORD})
    who = str(admin.id)
    assert told(lines) == [
        ("login", "accepted", who),
        ("login", "refused", who),
        ("login", "refused", None),
        ("login", "refused", who),
        ("access", "limited", None),
    ]
    assert audited(lines)[-1]["code"] == "too_many_attempts"
    assert PASSWORD not in lines.getvalue()
    assert admin.name not in lines.getvalue()


async def test_audit_log_is_written_at_every_level(api: httpx.AsyncClient) -> None:
    with logged(level="error") as stream:
        assert (await api.post("/auth/login", json={"username": "nobody", "password": "no"})).status_code == 401
    assert told(stream) == [("login", "refused", None)]
    assert len(stream.getvalue().splitlines()) == 1


async def test_refresh_reuse_and_log_out_are_recorded(
    api: httpx.AsyncClient, admin: User, backends: Backends, lines: io.StringIO
) -> None:
    first = (await api.post("/auth/login", json={"username": admin.name, "password": PASSWORD})).json()
    await rotate_twice(api, backends, first["refresh_token"])
    await api.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})
    await api.post("/auth/logout", headers={"Authorization": f"Bearer {first['access_token']}"})
    who = str(admin.id)
    expected = [("login", "accepted"), ("refresh", "accepted"), ("refresh", "reused"), ("logout", "accepted")]
    assert told(lines) == [(action, result, who) for action, result in expected]


async def test_refresh_within_the_grace_is_recorded_as_such(
    api: httpx.AsyncClient, admin: User, lines: io.StringIO
) -> None:
    token = (await api.post("/auth/login", json={"username": admin.name, "password": PASSWORD})).json()["refresh_token"]
    for _ in range(2):
        assert (await api.post("/auth/refresh", json={"refresh_token": token})).status_code == 200
    assert told(lines)[1:] == [("refresh", "accepted", str(admin.id))] * 2
    assert [line.get("grace", False) for line in audited(lines)[1:]] == [False, True]


async def rotate_twice(api: httpx.AsyncClient, backends: Backends, token: str) -> None:
    """Use the token and move its family on once more, so that it has no grace left."""
    await api.post("/auth/refresh", json={"refresh_token": token})
    payload = token.split(".")[1]
    family = UUID(json.loads(base64.urlsafe_b64decode(payload + "=="))["family"])
    assert await backends.accounts.rotate(family, counter=1, now=utc_now() + timedelta(seconds=1))


async def test_refusals_are_recorded_with_their_route(
    api: httpx.AsyncClient, stack_settings: Settings, backends: Backends, lines: io.StringIO
) -> None:
    user = await add_user(backends)
    await api.get("/documents/canary-id")
    await api.get("/users", headers=bearer(stack_settings, user))
    await api.get("/admin/stream", headers=bearer(stack_settings, user))
    assert told(lines) == [
        ("access", "refused", None),
        ("access", "refused", str(user.id)),
        ("access", "refused", str(user.id)),
    ]
    assert [line["route"] for line in audited(lines)] == ["/documents/{document_id}", "/users", "/admin/stream"]
    assert "canary" not in lines.getvalue()


async def test_full_quota_is_no_refused_access_by_whichever_way(
    stack_settings: Settings, backends: Backends, lines: io.StringIO
) -> None:
    user = await add_user(backends)
    app = create_app(stack_settings.model_copy(update={"max_bytes_per_user": 1}), backends)
    transport = httpx.ASGITransport(app, client=(ADDRESS, 1))
    note = ("a.txt", b"A note.", "text/plain")
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://api{PREFIX}", headers=bearer(stack_settings, user)
    ) as client:
        one = await client.post("/documents", files=[("files", note)])
        two = await client.post("/documents", files=[("files", note), ("files", note)])
        announced = await client.post("/documents/uploads", json={"filename": "a.txt", "size": 7})
    assert [answer.status_code for answer in (one, two, announced)] == [403, 403, 403], two.text
    assert audited(lines) == []


async def test_changes_of_users_name_who_made_them_and_whom_they_are_about(
    api: httpx.AsyncClient, stack_settings: Settings, admin: User, lines: io.StringIO
) -> None:
    headers, name = bearer(stack_settings, admin), f"user-{uuid4().hex[:8]}"
    new = await api.post("/users", headers=headers, json={"username": name, "password": "canary-password"})
    await api.patch(f"/users/{name}", headers=headers, json={"disabled": True, "password": "canary-password-2"})
    added, changed = audited(lines)
    assert (added["action"], added["user_id"], added["subject"]) == ("user.add", str(admin.id), new.json()["id"])
    assert (changed["action"], changed["user_id"], changed["subject"]) == (
        "user.change",
        str(admin.id),
        new.json()["id"],
    )
    assert changed["fields"] == ["disabled", "password"]
    assert "canary" not in lines.getvalue()
    assert name not in lines.getvalue()


async def test_delete_ticket_and_admin_s_stream_are_recorded(
    api: httpx.AsyncClient, stack_settings: Settings, admin: User, backends: Backends, lines: io.StringIO
) -> None:
    document = await Caller(user=admin, client=api, backends=backends).document(S.COMPLETED)
    headers = bearer(stack_settings, admin)
    assert (await api.delete(f"/documents/{document.id}", headers=headers)).status_code == 204
    assert (await api.post("/auth/stream-ticket", headers=headers)).status_code == 200
    assert (await api.get("/admin/stream", headers=headers)).status_code == 200
    actions = ("document.delete", "stream_ticket", "admin_stream")
    assert told(lines) == [(action, "accepted", str(admin.id)) for action in actions]
    assert audited(lines)[0]["document_id"] == str(document.id)


async def test_line_of_one_request_does_not_name_the_user_of_the_one_before(
    api: httpx.AsyncClient, stack_settings: Settings, admin: User, lines: io.StringIO
) -> None:
    await api.get("/auth/me", headers=bearer(stack_settings, admin))
    await api.get("/auth/me")
    requests = [line for line in map(json.loads, lines.getvalue().splitlines()) if line["event"] == "http.request"]
    assert [line["user_id"] for line in requests] == [str(admin.id), None]


async def test_answered_probes_do_not_fill_the_log(api: httpx.AsyncClient) -> None:
    with logged(level="info") as stream:
        for path in ("/livez", "/readyz"):
            assert (await api.get(httpx.URL("http://api").join(path))).status_code == 200
        assert (await api.get("/auth/me")).status_code == 401
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["route"] for event in events if event["event"] == "http.request"] == ["/auth/me"]
