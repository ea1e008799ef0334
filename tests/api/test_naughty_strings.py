"""Strings that have broken other systems, wherever a client chooses one: no error of ours, and nothing escapes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from api_service.app import create_app
from shared.accounts import Role
from shared.bootstrap import Backends
from shared.document import blob_prefix
from shared.settings import Settings
from tests.support.builders import S
from tests.support.callers import Caller, add_user, tokens_of

NAUGHTY = [
    "",
    " ",
    "\0",
    "a\0b",
    "null",
    "undefined",
    "NaN",
    "true",
    "0",
    "-1",
    "1e309",
    "../../../../etc/passwd",
    "..\\..\\windows\\system32",
    "/etc/passwd",
    "C:\\con",
    "CON",
    "~root",
    ".",
    "..",
    ".hidden",
    "%2e%2e%2f",
    "%00",
    "%s%n%x",
    "' OR 1=1 --",
    "'; DROP TABLE documents; --",
    "$(touch /tmp/x)",
    "`id`",
    "| cat /etc/passwd",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>",
    "=cmd|' /C calc'!A0",
    "name\r\nSet-Cookie: a=b",
    "line\nbreak",
    "tab\there",
    'quote".txt',
    "semi;colon.txt",
    "e\u0301.txt",
    "\u202etxt.exe",
    "\u200b",
    "\ufeff",
    "\ufffe",
    "\U0001f4a9",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d",
    "\u0130stanbul",
    "stra\u00dfe",
    "\ufdfa",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "田中さん",
    "x" * 300,
    "é" * 300,
    "/" * 300,
    "a/" * 300,
]


@pytest.fixture(scope="module")
async def admin(settings: Settings, backends: Backends) -> AsyncIterator[Caller]:
    """An admin, whose client calls the application in this process: an error of ours is an answer, not an exception."""
    user = await add_user(backends, role=Role.ADMIN)
    transport = httpx.ASGITransport(create_app(settings, backends), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {tokens_of(settings).access(user, uuid4())}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api/api/v1", headers=headers) as client:
        yield Caller(user=user, client=client, backends=backends)


@pytest.fixture(scope="module")
def settings(stack_settings: Settings) -> Settings:
    return stack_settings


def sane(answer: httpx.Response) -> int:
    """Its status. No answer is an error of ours, and every refusal is a problem."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
    assert "set-cookie" not in answer.headers
    return answer.status_code


def raw(text: str) -> bytes:
    """As a header's value, of which HTTP allows no line breaks."""
    return text.translate({0: None, 10: None, 13: None}).strip().encode()


def multipart(*, filename: str, fields: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    """A form with the name as it is: a client's library would escape it."""
    escaped = filename.translate({10: "%0A", 13: "%0D", 34: "%22"})
    parts = [
        f'--X\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    parts.append(
        f'--X\r\nContent-Disposition: form-data; name="file"; filename="{escaped}"\r\n\r\nA note.\r\n--X--\r\n'
    )
    return "".join(parts).encode(), {"Content-Type": "multipart/form-data; boundary=X"}


@pytest.mark.parametrize("text", NAUGHTY, ids=ascii)
async def test_file_of_any_name_in_any_folder_is_stored_under_a_key_of_ours(admin: Caller, text: str) -> None:
    body, headers = multipart(filename=f"{text}.txt", fields={"folder": text, "process": "false"})
    answer = await admin.client.post("/documents", content=body, headers=headers)
    assert sane(answer) in {202, 415, 422}
    if answer.status_code == 202:
        (item,) = answer.json()["items"]
        assert not set("/\\\0\r\n") & set(item["filename"])
        document = await admin.backends.documents.get(item["id"])
        assert document is not None
        assert document.blob_key == f"{blob_prefix(admin.user.id, document.id)}original"
        assert not {"", ".", ".."} & set(document.folder.split("/")) or document.folder == ""
        assert sane(await admin.client.get(f"/documents/{item['id']}/content")) == 302


@pytest.mark.parametrize("text", NAUGHTY, ids=ascii)
async def test_text_in_a_query_a_path_or_a_header_is_no_error_of_ours(admin: Caller, text: str) -> None:
    client, one = admin.client, str((await admin.document(S.COMPLETED)).id)
    in_path = quote(text, safe="")
    for query in ({"folder": text}, {"status": text}, {"cursor": text}, {"limit": text}):
        sane(await client.get("/documents", params=query))
    for query in ({"document_id": text}, {"status": text or "-"}, {"ticket": text}):
        assert sane(await client.get("/documents/stream", params=query)) in {401, 422}
    sane(await client.get("/usage", params={"since": text, "all": text}))
    sane(await client.get("/users", params={"cursor": text}))
    sane(await client.patch(f"/users/{in_path}", json={"disabled": True}))
    sane(await client.get(f"/documents/{in_path}"))
    sane(await client.get(f"/documents/{one}", params={"include": text}))
    sane(await client.get(f"/documents/{one}/status", headers={b"If-None-Match": raw(text)}))
    sane(await client.get("/auth/me", headers={b"X-Request-ID": raw(text), b"traceparent": raw(text)}))


@pytest.mark.parametrize("text", NAUGHTY, ids=ascii)
async def test_text_in_a_json_body_is_no_error_of_ours(admin: Caller, text: str) -> None:
    client, one = admin.client, str((await admin.document(S.FAILED)).id)
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/auth/refresh", {"refresh_token": text}),
        ("/users", {"username": text, "password": "short"}),
        ("/documents/uploads", {"filename": text, "size": 7, "folder": text, "content_type": text}),
        (f"/documents/{one}/process", {"profile": text or "-"}),
    ]
    for path, body in bodies:
        sane(await client.post(path, json=body))
    key = {b"Idempotency-Key": raw(text)}
    assert sane(await client.post(f"/documents/{one}/process", headers=key)) in {202, 422}


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"], ids=ascii)
async def test_half_a_surrogate_in_json_is_refused(admin: Caller, text: str) -> None:
    for path, name in [("/documents/uploads", "filename"), ("/auth/refresh", "refresh_token"), ("/users", "username")]:
        body = json.dumps({"size": 7, "password": "long enough it is", name: text})
        answer = await admin.client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert sane(answer) in {401, 422}


async def test_user_of_any_allowed_name_is_found_and_changed_by_it(admin: Caller) -> None:
    for text in ("é", "\U0001f4a9", "a?b#c", "\u0130i", "stra\u00dfe", "%2e%2e", "'--", "..x", ";/"):
        name = f"{text}-{uuid4().hex[:8]}"
        new = await admin.client.post("/users", json={"username": name, "password": "long enough it is"})
        # What would be two components of a path names nobody: PATCH could never reach it.
        assert sane(new) == (422 if "/" in name else 201)
        if new.status_code == 201:
            answer = await admin.client.patch(f"/users/{quote(name, safe='')}", json={"disabled": True})
            assert (sane(answer), answer.json()["id"]) == (200, new.json()["id"])
