"""How much one user may keep: the next document is refused by name, and what the user has is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest

from api_service.app import create_app
from shared.bootstrap import Backends, open_backends
from shared.settings import Settings
from tests.contracts.conftest import on_dynamodb
from tests.support.access import PREFIX
from tests.support.builders import S
from tests.support.callers import Caller, add_user, tokens_of

NOTE = ("note.txt", b"A note.", "text/plain")


@pytest.fixture(scope="module", params=["postgres", "dynamodb"])
async def settings(request: pytest.FixtureRequest, stack_settings: Settings) -> Settings:
    return await on_dynamodb(stack_settings) if request.param == "dynamodb" else stack_settings


@pytest.fixture(scope="module")
async def backends(settings: Settings) -> AsyncIterator[Backends]:
    async with open_backends(settings) as opened:
        yield opened


@asynccontextmanager
async def allowed(settings: Settings, backends: Backends, **limits: int) -> AsyncIterator[Caller]:
    """A new user of an API with these limits."""
    user = await add_user(backends)
    app = create_app(settings.model_copy(update=limits), backends)
    headers = {"Authorization": f"Bearer {tokens_of(settings).access(user, uuid4())}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://api{PREFIX}", headers=headers) as client:
        yield Caller(user=user, client=client, backends=backends)


async def upload(me: Caller, *notes: tuple[str, bytes, str]) -> httpx.Response:
    return await me.client.post("/documents", files=[("files", note) for note in notes or (NOTE,)])


def refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (403, "quota_exceeded")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_document_beyond_the_quota_is_refused_until_one_is_deleted(
    settings: Settings, backends: Backends
) -> None:
    async with allowed(settings, backends, max_documents_per_user=2) as me:
        first, second, third = [await upload(me) for _ in range(3)]
        assert (first.status_code, second.status_code) == (202, 202)
        refused(third)
        refused(await me.client.post("/documents/uploads", json={"filename": "note.txt", "size": 7}))
        assert len((await me.client.get("/documents")).json()["items"]) == 2
        await me.client.delete(f"/documents/{first.json()['id']}")
        assert (await upload(me)).status_code == 202


async def test_bytes_beyond_the_quota_are_refused_and_fewer_are_not(settings: Settings, backends: Backends) -> None:
    async with allowed(settings, backends, max_bytes_per_user=20) as me:
        assert (await upload(me)).status_code == 202
        refused(await upload(me, ("long.txt", b"A longer note.", "text/plain")))
        assert (await upload(me, ("thirteen.txt", b"x" * 13, "text/plain"))).status_code == 202
        refused(await upload(me, ("one.txt", b"x", "text/plain")))


async def test_each_file_of_a_request_counts_for_itself(settings: Settings, backends: Backends) -> None:
    async with allowed(settings, backends, max_documents_per_user=2) as me:
        answer = (await upload(me, NOTE, NOTE, NOTE)).json()
        assert len(answer["items"]) == 2
        assert [error["code"] for error in answer["errors"]] == ["quota_exceeded"]


async def test_uploads_at_the_same_time_find_the_same_room_once(settings: Settings, backends: Backends) -> None:
    async with allowed(settings, backends, max_documents_per_user=3) as me:
        answers = await asyncio.gather(*(upload(me) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [202] * 3 + [403] * 5


async def test_repeat_of_what_had_its_room_is_answered_again(settings: Settings, backends: Backends) -> None:
    async with allowed(settings, backends, max_documents_per_user=1) as me:
        key = {"Idempotency-Key": uuid4().hex}
        first, again = [await me.client.post("/documents", files={"file": NOTE}, headers=key) for _ in range(2)]
        assert (first.status_code, again.json()["id"]) == (202, first.json()["id"])
        refused(await upload(me))


async def test_one_user_s_documents_take_no_room_of_another(settings: Settings, backends: Backends) -> None:
    async with allowed(settings, backends, max_documents_per_user=1) as me:
        await me.document(S.COMPLETED)
        refused(await upload(me))
    async with allowed(settings, backends, max_documents_per_user=1) as other:
        assert (await upload(other)).status_code == 202


async def test_nothing_is_counted_that_is_being_deleted(settings: Settings, backends: Backends) -> None:
    async with allowed(settings, backends, max_documents_per_user=1, max_bytes_per_user=100) as me:
        await me.document(S.DELETING, size=99)
        assert (await upload(me)).status_code == 202
