"""Another user's document cannot be told from one that never existed, on any route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api_service.app import create_app
from shared.accounts import Role
from shared.bootstrap import Backends
from shared.clock import uuid7
from shared.settings import Settings
from tests.support.access import Route, routes_of
from tests.support.builders import S
from tests.support.callers import Caller, calling

MALFORMED = [
    "none",
    "0",
    "-1",
    "null",
    "%00",
    "x" * 2000,
    "01234567-89ab-7def-8123-456789abcde",
    "%C3%A9",
    "' OR 1=1 --",
]


@pytest.fixture
async def stranger(api: str, stack_settings: Settings, backends: Backends) -> AsyncIterator[Caller]:
    async with calling(api, stack_settings, backends) as caller:
        yield caller


@pytest.fixture(scope="module")
def named_routes(backends: Backends, stack_settings: Settings) -> list[Route]:
    """Every route that names something in its path."""
    return [route for route in routes_of(create_app(stack_settings, backends)) if "{" in route.path]


@pytest.fixture(scope="module")
def document_routes(named_routes: list[Route]) -> list[tuple[str, str]]:
    """Method and path of those that take a document's id."""
    found = [(route.method, route.path) for route in named_routes if "{document_id}" in route.path]
    assert len(found) >= 7
    return found


def apart_from_the_request(answer: httpx.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    body = answer.json()
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
    # Its length tells how long the path was, which the caller knows.
    headers.pop("content-length")
    assert body.pop("instance") == answer.request.url.path
    assert body.pop("request_id") == answer.headers["x-request-id"]
    return answer.status_code, headers, body


def without(folder: str, answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """An answer but for the name that was asked for, and for what names the request."""
    if answer.status_code >= 400:
        return apart_from_the_request(answer)
    passing = {"date", "x-request-id", "content-length", "etag"}
    headers = {name: value for name, value in answer.headers.items() if name not in passing}
    return answer.status_code, headers, json.loads(answer.text.replace(folder, "FOLDER"))


async def test_foreign_deleted_unknown_and_malformed_ids_get_the_same_answer_on_every_route(
    me: Caller, stranger: Caller, document_routes: list[tuple[str, str]]
) -> None:
    theirs = [str((await stranger.document(status)).id) for status in (S.UPLOADED, S.PENDING, S.COMPLETED, S.DELETING)]
    mine_deleted = str((await me.document(S.DELETING)).id)
    ids = [*theirs, mine_deleted, str(uuid4()), str(uuid7()), *MALFORMED]
    for method, path in document_routes:
        answers = await asyncio.gather(*(me.client.request(method, url(me, path, one)) for one in ids))
        first, *others = (apart_from_the_request(answer) for answer in answers)
        assert (first[0], first[1]["content-type"], first[2]["code"]) == (404, "application/problem+json", "not_found")
        assert others == [first] * len(others), (method, path)


async def test_what_is_somebody_else_s_is_answered_like_what_nobody_has_on_every_route(
    me: Caller, stranger: Caller, named_routes: list[Route]
) -> None:
    theirs = await stranger.document(S.COMPLETED, folder="their/folder")
    foreign = {"document_id": str(theirs.id), "name": stranger.user.name, "path": "their/folder"}
    nobody_s = {"document_id": str(uuid7()), "name": f"user-{uuid4().hex[:12]}", "path": uuid4().hex[:12]}
    for route in named_routes:
        urls = [str(me.client.base_url.join(route.at(**names))) for names in (foreign, nobody_s)]
        one, other = [
            without(names["path"], await me.client.request(route.method, url))
            for names, url in zip((foreign, nobody_s), urls, strict=True)
        ]
        assert one == other, route


async def test_no_route_touches_a_foreign_document(
    me: Caller, stranger: Caller, document_routes: list[tuple[str, str]]
) -> None:
    for status in (S.UPLOADED, S.FAILED):
        document = await stranger.document(status)
        for method, path in document_routes:
            await me.client.request(method, url(me, path, str(document.id)))
        assert await me.backends.documents.get(document.id) == document


async def test_admin_s_token_opens_no_foreign_document(
    stranger: Caller, api: str, stack_settings: Settings, document_routes: list[tuple[str, str]]
) -> None:
    document = await stranger.document(S.COMPLETED)
    async with calling(api, stack_settings, stranger.backends, role=Role.ADMIN) as admin:
        assert (await admin.client.get("/auth/me")).json()["role"] == "admin"
        for method, path in document_routes:
            assert (await admin.client.request(method, url(admin, path, str(document.id)))).status_code == 404


def url(me: Caller, path: str, document_id: str) -> str:
    return str(me.client.base_url.join(path.format(document_id=document_id)))
