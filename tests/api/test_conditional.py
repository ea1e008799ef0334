"""ETags: who names what it has is told when that is still so."""

from __future__ import annotations

import pytest

from api_service.conditional import has
from tests.support.builders import S, move
from tests.support.callers import Caller

PATHS = ["/documents/{id}", "/documents/{id}/status", "/documents/{id}/history", "/documents/{id}/text"]
LISTS = ["/documents", "/documents?folder=a&limit=1", "/folders", "/folders/a/documents", "/folders/a/insights"]


async def with_text(me: Caller, name: str) -> str:
    """A document of which a text was extracted; the same one again with another text."""
    document = await me.document(S.PROCESSING, folder="a")
    text_key = f"{document.prefix}{name}"
    await me.backends.blobs.put(text_key, name.encode(), content_type="text/plain; charset=utf-8")
    await me.backends.documents.apply(move(document, S.ANALYZING, text_key=text_key))
    return str(document.id)


@pytest.mark.parametrize("path", [*PATHS, *LISTS])
async def test_unchanged_answer_is_304_without_a_body(me: Caller, path: str) -> None:
    url = path.format(id=await with_text(me, "one"))
    first = await me.client.get(url)
    assert (first.status_code, first.headers["cache-control"]) == (200, "private, no-cache")
    etag = first.headers["etag"]
    for named in (etag, f'"other", {etag}', f"W/{etag.removeprefix('W/')}", "*"):
        again = await me.client.get(url, headers={"If-None-Match": named})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = await me.client.get(url, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("path", [*PATHS[:3], *LISTS])
async def test_move_makes_a_new_tag(me: Caller, path: str) -> None:
    document_id = await with_text(me, "one")
    url = path.format(id=document_id)
    first = await me.client.get(url)
    await me.client.post(f"/documents/{document_id}/cancel")
    second = await me.client.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert second.status_code == 200
    assert second.headers["etag"] != first.headers["etag"]


async def test_document_with_and_without_its_text_are_two_things(me: Caller) -> None:
    url = f"/documents/{await with_text(me, 'one')}"
    etag = (await me.client.get(url)).headers["etag"]
    answer = await me.client.get(url, params={"include": "text"}, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.json()["text"]) == (200, "one")


async def test_list_with_another_page_has_another_tag(me: Caller) -> None:
    for _ in range(2):
        await me.document(S.UPLOADED)
    tags = {(await me.client.get("/documents", params={"limit": limit})).headers["etag"] for limit in (1, 2)}
    assert len(tags) == 2


async def test_list_shows_an_upload_that_has_just_begun(me: Caller) -> None:
    """It is in the list before its first move is in the feed."""
    etag = (await me.client.get("/documents")).headers["etag"]
    await me.document(S.UPLOADING)
    answer = await me.client.get("/documents", headers={"If-None-Match": etag})
    assert (answer.status_code, len(answer.json()["items"])) == (200, 1)


@pytest.mark.parametrize("status", [S.PENDING, S.PROCESSING, S.ANALYZING])
@pytest.mark.parametrize("what", ["", "/status"])
async def test_answer_about_a_document_under_way_says_when_to_ask_again(me: Caller, status: S, what: str) -> None:
    document = await me.document(status)
    answer = await me.client.get(f"/documents/{document.id}{what}")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("status", [S.UPLOADED, S.COMPLETED, S.FAILED, S.CANCELLED])
async def test_answer_about_an_idle_document_does_not(me: Caller, status: S) -> None:
    document = await me.document(status)
    assert "retry-after" not in (await me.client.get(f"/documents/{document.id}/status")).headers


@pytest.mark.parametrize("header", [None, "", '"b"', 'W/"b"', "a", '"b", "c"', '"a', '"aa"'])
def test_other_tags_do_not_match(header: str | None) -> None:
    assert not has(header, '"a"')
