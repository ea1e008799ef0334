"""Texts where an answer may not have any length, as behind Lambda."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import httpx2
import pytest

from docrelay.client import Client, Token
from shared.bootstrap import Backends
from shared.document import Document
from shared.settings import Settings
from tests.support.builders import S, move
from tests.support.callers import Caller, calling, tokens_of
from tests.support.running import serving

# More than the bucket gives at a time.
LIMIT = 1_100_000


@pytest.fixture(scope="module")
async def bounded(stack_settings: Settings) -> AsyncIterator[str]:
    async with serving(stack_settings.model_copy(update={"text_max_bytes": LIMIT})) as base_url:
        yield base_url


@pytest.fixture
async def me(bounded: str, stack_settings: Settings, backends: Backends) -> AsyncIterator[Caller]:
    async with calling(bounded, stack_settings, backends) as caller:
        yield caller


async def with_text(me: Caller, text: str) -> Document:
    document = await me.document(S.PROCESSING, filename="Über.txt")
    text_key = f"{document.prefix}text-1"
    await me.backends.blobs.put(text_key, text.encode(), content_type="text/plain; charset=utf-8")
    analyzing = move(document, S.ANALYZING, pages=1, text_key=text_key)
    await me.backends.documents.apply(analyzing)
    return await me.move(analyzing.after, S.COMPLETED)


async def test_text_that_fits_is_the_answer(me: Caller) -> None:
    text = "ü" * (LIMIT // 2)
    document = await with_text(me, text)
    answer = await me.client.get(f"/documents/{document.id}/text")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.text == text
    assert answer.headers["etag"]
    # There a quote may take four bytes.
    half = await with_text(me, '"' * (LIMIT // 2))
    shown = await me.client.get(f"/documents/{half.id}?include=text")
    assert shown.json()["text"] == '"' * (LIMIT // 2)


async def test_longer_text_is_where_the_answer_leads(me: Caller) -> None:
    text = "ü" * (LIMIT // 2) + "."
    answer = await me.client.get(f"/documents/{(await with_text(me, text)).id}/text")
    assert answer.status_code == 302
    async with httpx.AsyncClient() as anybody:
        found = await anybody.get(answer.headers["location"])
    assert (found.status_code, found.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert found.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%9Cber.txt.txt"
    assert found.text == text


@pytest.mark.parametrize("path", ["/api/v1/documents/{id}?include=text", "/documents/{id}"])
async def test_longer_text_is_no_part_of_an_answer_which_says_where_it_is(me: Caller, bounded: str, path: str) -> None:
    document = await with_text(me, "." * (LIMIT // 2 + 1))
    answer = await me.client.get(f"{bounded}{path.format(id=document.id)}")
    assert (answer.status_code, answer.json()["code"]) == (422, "text_too_long")
    assert f"/documents/{document.id}/text" in answer.json()["detail"]


async def test_client_reads_a_longer_text_and_shows_the_bucket_no_token(
    me: Caller, bounded: str, stack_settings: Settings
) -> None:
    document, asked = await with_text(me, "." * (LIMIT + 1)), []

    async def note(request: httpx2.Request) -> None:
        asked.append("authorization" in request.headers)

    async with httpx2.AsyncClient(event_hooks={"request": [note]}) as http:
        client = Client(bounded, auth=Token(tokens_of(stack_settings).access(me.user, uuid4())), http=http)
        assert len(await client.text(document.id)) == LIMIT + 1
    assert asked == [True, False]
