"""Folders as a client sees them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from api_service.listing import encoded
from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.builders import NOW, S, new_document
from tests.support.callers import Caller, calling
from tests.support.mixed_documents import labelled

EMPTY_SPREAD = {"documents": 0, "total": 0, "average": None, "smallest": None, "largest": None}
NEVER = {"first": None, "last": None}


async def insight(client: httpx.AsyncClient, folder: str) -> dict[str, Any]:
    answer = await client.get(f"/folders/{folder}/insights")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_folders_are_listed_by_path_with_counts_of_subfolders(me: Caller) -> None:
    for folder in ("b", "a/x", "a/y", ""):
        await me.document(S.COMPLETED, folder=folder)
    body = (await me.client.get("/folders")).json()
    assert [(item["path"], item["documents"]) for item in body["items"]] == [("a", 2), ("a/x", 1), ("a/y", 1), ("b", 1)]
    assert (body["documents"], body["next_cursor"], body["feed_cursor"]) == (4, None, await me.cursor())
    assert (body["items"][0]["statuses"], body["items"][0]["newest_at"]) == (
        {"completed": 2},
        NOW.isoformat()[:-6] + "Z",
    )


async def test_pages_of_folders_meet_without_gap_or_overlap(me: Caller) -> None:
    for folder in ("a/x", longest := "b" + "😀" * 1000, "c"):
        await me.document(folder=folder)
    answer = await me.client.get("/folders", params={"limit": 1})
    seen = [answer.json()["items"][0]["path"]]
    while following := answer.links.get("next"):
        answer = await me.client.get(answer.url.join(following["url"]))
        seen += [item["path"] for item in answer.json()["items"]]
        assert len(seen) <= 4
    assert seen == ["a", "a/x", longest, "c"]


@pytest.mark.parametrize("folder", ["日本", "Verträge", "a>b", "a?b#c", "100%", "100%25"])
async def test_link_of_a_page_is_good_for_every_folder_s_name(me: Caller, folder: str) -> None:
    stored = {str((await me.document(folder=folder)).id) for _ in range(2)}
    answer = await me.client.get(f"/folders/{quote(folder)}/documents", params={"limit": 1, "name": ".pdf"})
    assert answer.status_code == 200, answer.text
    assert (answer.headers["link"].isascii(), answer.headers["link"].count(">")) == (True, 1)
    after = await me.client.get(answer.url.join(answer.links["next"]["url"]))
    assert {page.json()["items"][0]["id"] for page in (answer, after)} == stored


@pytest.mark.parametrize("cursor", ["nonsense", "WyJhIiwgImIiXQ", encoded(["a", "b"]), "WzVd"])
async def test_malformed_cursor_of_folders_is_a_problem(me: Caller, cursor: str) -> None:
    answer = await me.client.get("/folders", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize("spelling", ["a/b", "a%2Fb", "/a//b/", "%2Fa%2Fb%2F", "a%0A/b%0D%0A"])
async def test_folder_s_path_is_normalised(me: Caller, spelling: str) -> None:
    await me.document(S.COMPLETED, folder="a/b")
    body = await insight(me.client, spelling)
    assert (body["folder"], body["documents"]) == ("a/b", 1)


@pytest.mark.parametrize("name", ["..", "../..", "\0", "\n", "\u200b"])
async def test_name_of_no_folder_is_not_taken_for_all_of_them(me: Caller, name: str) -> None:
    path = f"/folders/{quote(name, safe='').replace('.', '%2E')}/insights"
    for answer in (await me.client.get("/documents", params={"folder": name}), await me.client.get(path)):
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "folder")


@pytest.mark.parametrize("root", ["", "/", "%2F", "."])
async def test_folder_without_a_name_has_all_documents(me: Caller, root: str) -> None:
    await me.document(folder="a")
    await me.document()
    # As it is written: a client would tidy `.` up.
    base = str(me.client.base_url).rstrip("/")
    body = (await me.client.get(httpx.URL(f"{base}/folders/{root}/insights".replace("/./", "/%2E/")))).json()
    assert (body["folder"], body["documents"]) == ("", 2)


@pytest.mark.parametrize("path", ["x" * 1025, "/".join("x" * 33)])
@pytest.mark.parametrize("what", ["insights", "documents"])
async def test_folder_beyond_the_bounds_is_a_problem_that_names_it(me: Caller, path: str, what: str) -> None:
    answer = await me.client.get(f"/folders/{path}/{what}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "folder")


async def test_nobody_uploads_beyond_the_bounds(me: Caller) -> None:
    deep = "/".join("x" * 33)
    form = await me.client.post("/documents", files={"file": ("a.txt", b"text")}, data={"folder": deep})
    presigned = await me.client.post("/documents/uploads", json={"filename": "a.txt", "size": 4, "folder": deep})
    for answer in (form, presigned):
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "folder")


async def test_insight_has_what_the_documents_come_to(me: Caller) -> None:
    await me.document(S.COMPLETED, folder="a", pages=2, words=10, size=5)
    await me.document(S.COMPLETED, folder="a/b", pages=4, words=21, size=6, authored_at=NOW)
    await me.document(S.FAILED, folder="a", content_type="text/plain", size=7)
    body = await insight(me.client, "a")
    at = NOW.isoformat()[:-6] + "Z"
    assert body == {
        "folder": "a",
        "documents": 3,
        "size": {"documents": 3, "total": 18, "average": 6.0, "smallest": 5, "largest": 7},
        "pages": {"documents": 2, "total": 6, "average": 3.0, "smallest": 2, "largest": 4},
        "words": {"documents": 2, "total": 31, "average": 15.5, "smallest": 10, "largest": 21},
        "types": {"application/pdf": 2, "text/plain": 1},
        "statuses": {"completed": 2, "failed": 1},
        "languages": {"en": 2},
        "labels": {"other": 2},
        "classified": {},
        "topics": {"text": 2},
        "sentiment": {"score": 0.0, "labels": {"neutral": 2}},
        "uploaded": {"first": at, "last": at},
        "authored": {"first": at, "last": at},
        "usage": {"calls": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0, "unpriced": 0},
        "feed_cursor": await me.cursor(),
    }


async def test_foreign_folder_answers_like_one_that_never_was(
    me: Caller, api: str, stack_settings: Settings, backends: Backends
) -> None:
    async with calling(api, stack_settings, backends) as stranger:
        await stranger.document(S.COMPLETED, folder="theirs")
        await me.document(folder="mine")
        for what in ("insights", "documents"):
            answers = [(await me.client.get(f"/folders/{name}/{what}")) for name in ("theirs", "nobody")]
            bodies = [{**answer.json(), "folder": "-"} for answer in answers]
            assert bodies[0] == bodies[1]
            assert [answer.status_code for answer in answers] == [200, 200]
        empty = await insight(me.client, "theirs")
        assert (empty["documents"], empty["size"], empty["uploaded"]) == (0, EMPTY_SPREAD, NEVER)
        assert [item["path"] for item in (await me.client.get("/folders")).json()["items"]] == ["mine"]


async def test_tag_of_an_insight_is_of_what_was_counted(me: Caller) -> None:
    """Where the list's index is late, a document comes into the numbers after its move is in the feed."""
    await me.document(S.PENDING, folder="a")
    first = await me.client.get("/folders/a/insights")
    late = new_document(owner=me.user.id, folder="a", status=S.UPLOADED, due_at=None)
    await me.backends.documents.insert(late)
    second = await me.client.get("/folders/a/insights", headers={"If-None-Match": first.headers["etag"]})
    assert (second.status_code, second.json()["documents"]) == (200, 2)
    assert second.json()["feed_cursor"] == first.json()["feed_cursor"]


async def test_insight_is_not_sent_again_until_something_moved(me: Caller) -> None:
    document = await me.document(S.PENDING, folder="a")
    first = await me.client.get("/folders/a/insights")
    asked = {"If-None-Match": first.headers["etag"]}
    again = await me.client.get("/folders/a/insights", headers=asked)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    await me.move(document, S.PROCESSING)
    moved = await me.client.get("/folders/a/insights", headers=asked)
    assert (moved.status_code, moved.json()["statuses"]) == (200, {"processing": 1})


async def test_folder_s_documents_say_what_is_known_of_them(me: Caller) -> None:
    facts = {"title": "A plan", "author": "Ada", "authored_at": NOW, "words": 9}
    await me.document(S.COMPLETED, folder="a/b", **facts)
    (item,) = (await me.client.get("/folders/a/documents")).json()["items"]
    assert (item["title"], item["author"], item["words"]) == ("A plan", "Ada", 9)
    assert item["authored_at"] == NOW.isoformat()[:-6] + "Z"
    assert (item["language"], item["label"], item["sentiment"], item["topics"]) == ("en", "other", "neutral", ["text"])
    assert (item["folder"], item["status"], item["filename"]) == ("a/b", "completed", "paper.pdf")


async def test_folder_tells_which_of_the_owner_s_labels_fit(me: Caller) -> None:
    document, label = labelled(me.user.id)
    await me.backends.documents.insert(document)
    assert (await insight(me.client, "/"))["classified"] == {label: 1}
    (item,) = (await me.client.get("/folders/%2F/documents")).json()["items"]
    assert item["classified_as"] == label


async def test_folder_s_pages_follow_each_other(me: Caller) -> None:
    stored = [str((await me.document(folder="a")).id) for _ in range(3)]
    await me.document(folder="b")
    answer = await me.client.get("/folders/a/documents", params={"limit": 2})
    second = await me.client.get(answer.url.join(answer.links["next"]["url"]))
    seen = [item["id"] for page in (answer, second) for item in page.json()["items"]]
    assert (sorted(seen), second.json()["next_cursor"]) == (sorted(stored), None)


async def test_cursor_of_another_folder_is_refused(me: Caller) -> None:
    for _ in range(2):
        await me.document(folder="a")
    cursor = (await me.client.get("/folders/a/documents", params={"limit": 1})).json()["next_cursor"]
    answer = await me.client.get("/folders/b/documents", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")
    assert "other filters" in answer.json()["detail"]


async def test_folder_with_a_slash_in_its_name_does_not_hide_a_route(me: Caller) -> None:
    await me.backends.documents.insert(new_document(owner=me.user.id, folder="a/documents/insights"))
    await me.document(folder="insights/documents")
    assert (await insight(me.client, "insights/documents"))["documents"] == 1
    assert len((await me.client.get("/folders/insights/documents")).json()["items"]) == 1


@pytest.mark.parametrize("path", ["", "/a/insights", "/a/documents"])
async def test_folders_ask_for_a_token(api: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=f"{api}/api/v1") as anybody:
        answer = await anybody.get(f"/folders{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
