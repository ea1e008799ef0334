"""`GET /documents` as a client sees it."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.builders import NOW, S
from tests.support.callers import Caller, calling
from tests.support.sse import listening

# What the contract says of a list item: a document without `history` and `analysis`.
ITEM = (
    "id filename folder content_type size sha256 pages status version run attempt analyzer created_at updated_at error"
    " coverage usage"
)


MOMENT = "2026-01-02T03:04:05.678901+00:00"
NO_FILTER = sha256(b"{}").hexdigest()[:16]


async def listed(client: httpx.AsyncClient, **query: str | int) -> dict[str, Any]:
    answer = await client.get("/documents", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def names(client: httpx.AsyncClient, **query: str | int) -> list[str]:
    return [item["filename"] for item in (await listed(client, **query))["items"]]


def cursor_of(content: object) -> str:
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(content).encode())).decode().rstrip("=")


async def test_new_user_has_an_empty_list(me: Caller) -> None:
    page = await listed(me.client)
    assert page == {"items": [], "next_cursor": None, "feed_cursor": await me.cursor()}
    assert page["feed_cursor"].endswith(".0")


async def test_item_has_the_fields_of_a_document_but_history_and_analysis(me: Caller) -> None:
    await me.document(S.COMPLETED)
    (item,) = (await listed(me.client))["items"]
    assert item.keys() == set(ITEM.split())


async def test_item_says_what_the_store_knows(me: Caller) -> None:
    document = await me.document(S.FAILED, filename="a.pdf", folder="in/box")
    (item,) = (await listed(me.client))["items"]
    assert (item["id"], item["filename"], item["folder"]) == (str(document.id), "a.pdf", "in/box")
    assert (item["status"], item["version"], item["run"], item["attempt"]) == ("failed", 4, 1, 1)
    assert item["error"] == {"code": "corrupt", "detail": "The document is damaged."}


async def test_newest_stands_first(me: Caller) -> None:
    for number in (2, 3, 1):
        await me.document(filename=f"{number}.pdf", at=NOW + timedelta(seconds=number))
    assert await names(me.client) == ["3.pdf", "2.pdf", "1.pdf"]


@pytest.mark.parametrize("spelling", ["completed", "COMPLETED", "Completed"])
async def test_status_is_filtered_in_any_case(me: Caller, spelling: str) -> None:
    await me.document(S.COMPLETED, filename="done.pdf")
    await me.document(S.FAILED, filename="failed.pdf")
    assert await names(me.client, status=spelling) == ["done.pdf"]


@pytest.mark.parametrize("status", ["deleting", "DELETED", "done", "\0"])
async def test_unknown_status_is_a_problem_that_names_the_field(me: Caller, status: str) -> None:
    answer = await me.client.get("/documents", params={"status": status})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == "status"
    assert "deleting" not in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("a", ["a", "a/b", "a/b/c"]),
        ("/a/", ["a", "a/b", "a/b/c"]),
        ("a/b", ["a/b", "a/b/c"]),
        ("ab", ["ab"]),
        ("b", []),
        ("%", []),
        ("", ["", "a", "a/b", "a/b/c", "ab"]),
        ("/", ["", "a", "a/b", "a/b/c", "ab"]),
    ],
)
async def test_folder_has_its_subfolders(me: Caller, folder: str, expected: list[str]) -> None:
    for place in ("", "a", "a/b", "a/b/c", "ab"):
        await me.document(folder=place)
    page = await listed(me.client, folder=folder)
    assert sorted(item["folder"] for item in page["items"]) == expected


async def test_folder_with_a_nul_is_one_that_nobody_has(me: Caller) -> None:
    answer = await me.client.get("/documents", params={"folder": "a\0"})
    assert answer.status_code in {200, 422}


async def test_filters_add_up(me: Caller) -> None:
    await me.document(S.FAILED, folder="a", filename="1.pdf")
    await me.document(S.FAILED, folder="b", filename="2.pdf")
    await me.document(S.PENDING, folder="a", filename="3.pdf")
    assert await names(me.client, folder="a", status="failed") == ["1.pdf"]


async def test_pages_meet_without_gap_or_overlap(me: Caller) -> None:
    # All of one time, so that the id has to decide.
    stored = {str((await me.document()).id) for _ in range(5)}
    first = await listed(me.client, limit=2)
    second = await listed(me.client, limit=2, cursor=first["next_cursor"])
    third = await listed(me.client, limit=2, cursor=second["next_cursor"])
    seen = [item["id"] for page in (first, second, third) for item in page["items"]]
    assert (len(seen), set(seen), third["next_cursor"]) == (5, stored, None)


async def test_full_last_page_has_no_successor(me: Caller) -> None:
    for _ in range(2):
        await me.document()
    answer = await me.client.get("/documents", params={"limit": 2})
    assert (len(answer.json()["items"]), answer.json()["next_cursor"]) == (2, None)
    assert "link" not in answer.headers


async def test_link_header_leads_through_all_pages_with_the_filters(me: Caller) -> None:
    for number in range(3):
        await me.document(folder="a b", at=NOW + timedelta(seconds=number), filename=f"{number}.pdf")
        await me.document(folder="c")
    answer = await me.client.get("/documents", params={"limit": 1, "folder": "a b", "status": "Uploaded"})
    seen = [answer.json()["items"][0]["filename"]]
    while following := answer.links.get("next"):
        answer = await me.client.get(answer.url.join(following["url"]))
        seen += [item["filename"] for item in answer.json()["items"]]
        assert len(seen) <= 3
    assert seen == ["2.pdf", "1.pdf", "0.pdf"]


async def test_document_that_comes_between_two_pages_moves_nothing(me: Caller) -> None:
    for number in range(3):
        await me.document(at=NOW + timedelta(seconds=number), filename=f"{number}.pdf")
    first = await listed(me.client, limit=2)
    await me.document(at=NOW + timedelta(seconds=9))
    assert await names(me.client, limit=2, cursor=first["next_cursor"]) == ["0.pdf"]


@pytest.mark.parametrize(
    "cursor",
    [
        "0",
        "nonsense",
        "\0",
        "\xe9",
        cursor_of(None),
        cursor_of(5),
        cursor_of([]),
        cursor_of([MOMENT]),
        cursor_of([MOMENT, "no id"]),
        cursor_of([MOMENT, 5]),
        cursor_of([5, str(UUID(int=5))]),
        cursor_of(["yesterday", str(UUID(int=5))]),
        cursor_of({"a": 1, "b": 2}),
        # Of a list without filters, so that all of it is looked at.
        cursor_of([MOMENT, "no id", NO_FILTER]),
        cursor_of(["yesterday", str(UUID(int=5)), NO_FILTER]),
        cursor_of(["0001-01-01T00:00:00+14:00", str(UUID(int=5)), NO_FILTER]),
        # json raises RecursionError here, which is no ValueError.
        base64.urlsafe_b64encode(b"[" * 5000).decode(),
    ],
    ids=lambda cursor: repr(cursor[:20]),
)
async def test_malformed_cursor_is_a_problem_that_names_the_field(me: Caller, cursor: str) -> None:
    answer = await me.client.get("/documents", params={"cursor": cursor})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == "cursor"


async def test_empty_cursor_is_the_first_page_and_no_news_for_a_stream(me: Caller) -> None:
    document = await me.document(folder="a")
    for path in ("/documents", "/folders"):
        answer = await me.client.get(path, params={"cursor": "", "status": "", "folder": ""})
        assert answer.status_code == 200
        assert answer.json()["items"]
    async with listening(me.client, cursor="") as stream:
        await me.move(document, S.PENDING)
        (event,) = await stream.events(1)
    assert event.data["status"] == "pending"


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", ""])
async def test_limit_out_of_range_is_a_problem(me: Caller, limit: str) -> None:
    answer = await me.client.get("/documents", params={"limit": limit})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "limit")


async def test_foreign_and_deleted_documents_are_not_listed(
    me: Caller, api: str, stack_settings: Settings, backends: Backends
) -> None:
    await me.document(S.DELETING)
    mine = await me.document()
    async with calling(api, stack_settings, backends) as stranger:
        await stranger.document()
    assert [item["id"] for item in (await listed(me.client))["items"]] == [str(mine.id)]


async def test_another_s_cursor_shows_nothing_of_the_other(
    me: Caller, api: str, stack_settings: Settings, backends: Backends
) -> None:
    async with calling(api, stack_settings, backends) as stranger:
        for number in range(2):
            await stranger.document(at=NOW + timedelta(hours=number))
        theirs = (await listed(stranger.client, limit=1))["next_cursor"]
    mine = await me.document()
    page = await listed(me.client, cursor=theirs)
    assert [item["id"] for item in page["items"]] == [str(mine.id)]


async def test_stream_from_a_page_s_feed_cursor_has_what_came_after_the_page(me: Caller) -> None:
    document = await me.document(S.PENDING)
    feed_cursor = (await listed(me.client))["feed_cursor"]
    assert feed_cursor == await me.cursor()
    await me.move(document, S.PROCESSING)
    async with listening(me.client, last_event_id=feed_cursor) as stream:
        (event,) = await stream.events(1)
    assert (event.event, event.data["status"]) == ("status", "processing")
