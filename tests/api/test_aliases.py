"""The routes that the five systems documented which Docrelay unifies, asked as their clients ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.builders import S, move, report
from tests.support.callers import Caller, calling
from tests.support.running import PASSWORD, add_user
from tests.support.sse import listening

RESULT = report().model_dump(mode="json")["analysis"]
FILE = {"file": ("notes.txt", b"Call Ada on Monday.", "text/plain")}


@pytest.fixture
async def old(api: str, me: Caller) -> AsyncIterator[httpx.AsyncClient]:
    """The caller without the prefix."""
    async with httpx.AsyncClient(base_url=api, headers=me.client.headers, timeout=30) as client:
        yield client


async def completed(me: Caller, **facts: Any) -> str:
    document = await me.document(S.PROCESSING, **facts)
    text_key = f"{document.prefix}text-1"
    await me.backends.blobs.put(text_key, b"The text.", content_type="text/plain; charset=utf-8")
    analyzing = move(document, S.ANALYZING, text_key=text_key)
    await me.backends.documents.apply(analyzing)
    return str((await me.move(analyzing.after, S.COMPLETED)).id)


@pytest.mark.parametrize("how", ["json", "data"])
async def test_log_in_takes_json_and_a_form(api: str, stack_settings: Settings, how: str) -> None:
    name = f"user-{uuid4().hex[:12]}"
    await add_user(stack_settings, name)
    async with httpx.AsyncClient(base_url=api) as anybody:
        answer = await anybody.post("/auth/login", **{how: {"username": name, "password": PASSWORD}})  # type: ignore[arg-type]
        assert answer.status_code == 200
        tokens = answer.json()
        again = await anybody.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        bearer = {"Authorization": f"Bearer {again.json()['access_token']}"}
        assert (await anybody.get("/documents", headers=bearer)).json()["items"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/documents", "uploaded"),
        ("/upload", "pending"),
        ("/documents/upload", "pending"),
        ("/api/v1/documents/", "pending"),
    ],
)
async def test_upload_is_accepted_with_id_and_status(old: httpx.AsyncClient, path: str, status: str) -> None:
    answer = await old.post(path, files=FILE)
    assert (answer.status_code, answer.json()["status"]) == (202, status)
    stored = await old.get(f"/documents/{answer.json()['id']}")
    assert (stored.json()["status"], stored.json()["filename"]) == (status, "notes.txt")


async def test_form_decides_about_processing_where_it_says_so(old: httpx.AsyncClient) -> None:
    processed = await old.post("/documents", files=FILE, data={"process": "true"})
    kept = await old.post("/upload", files=FILE, data={"process": "false"})
    unsaid = await old.post("/documents", files=FILE, data={"process": ""})
    assert (processed.json()["status"], kept.json()["status"]) == ("pending", "uploaded")
    assert unsaid.json()["status"] == "uploaded"


@pytest.mark.parametrize(("first", "second"), [("/documents", "/upload"), ("/upload", "/documents")])
async def test_key_of_a_path_that_processes_is_no_key_of_one_that_does_not(
    old: httpx.AsyncClient, first: str, second: str
) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    answers = [await old.post(path, files=FILE, headers=headers) for path in (first, first, second)]
    assert [answer.status_code for answer in answers] == [202, 202, 422]
    assert answers[1].json() == answers[0].json()
    assert answers[2].json()["code"] == "idempotency_mismatch"


@pytest.mark.parametrize("path", ["/upload", "/documents/upload"])
async def test_files_of_one_request_are_accepted_or_refused_each(old: httpx.AsyncClient, path: str) -> None:
    files = [("files", ("a.txt", b"one")), ("files", ("b.exe", b"MZ")), ("files", ("c.txt", b"two"))]
    body = (await old.post(path, files=files)).json()
    assert [item["filename"] for item in body["items"]] == ["a.txt", "c.txt"]
    assert [(error["filename"], error["code"]) for error in body["errors"]] == [("b.exe", "unsupported_type")]


async def test_process_starts_what_was_only_uploaded_and_nothing_twice(old: httpx.AsyncClient) -> None:
    document_id = (await old.post("/documents", files=FILE)).json()["id"]
    headers = {"Idempotency-Key": uuid4().hex}
    answers = [await old.post(f"/documents/{document_id}/process", headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[1].headers["idempotency-replayed"] == "true"
    status = (await old.get(f"/documents/{document_id}/status")).json()
    assert (status["status"], status["run"], status["queued"]) == ("pending", 1, True)
    assert status["timestamp"] == (await old.get(f"/documents/{document_id}")).json()["updated_at"]


async def test_document_has_its_text_and_its_result_by_the_older_names(me: Caller, old: httpx.AsyncClient) -> None:
    body = (await old.get(f"/documents/{await completed(me)}")).json()
    assert (body["extracted_text"], body["analysis_result"], body["result"]) == ("The text.", RESULT, RESULT)
    assert body["timestamp"] == body["updated_at"]
    assert [entry["from"] for entry in body["history"]][:2] == ["uploading", "uploaded"]
    assert body["error"] is None


async def test_failed_document_says_why(me: Caller, old: httpx.AsyncClient) -> None:
    body = (await old.get(f"/documents/{(await me.document(S.FAILED)).id}")).json()
    assert (body["error"]["code"], body["result"], body["extracted_text"]) == ("corrupt", None, None)


async def test_result_is_there_under_the_prefix_too(me: Caller, old: httpx.AsyncClient) -> None:
    body = (await old.get(f"/api/v1/documents/{await completed(me)}")).json()
    assert (body["status"], body["result"]) == ("completed", RESULT)
    assert not {"extracted_text", "analysis_result", "timestamp"} & body.keys()


@pytest.mark.parametrize("path", ["/documents", "/api/v1/documents/"])
@pytest.mark.parametrize("spelling", ["FAILED", "failed"])
async def test_list_takes_a_status_in_any_case(me: Caller, old: httpx.AsyncClient, path: str, spelling: str) -> None:
    await me.document(S.PENDING)
    failed = await me.document(S.FAILED)
    (item,) = (await old.get(path, params={"status": spelling})).json()["items"]
    assert (item["id"], item["timestamp"]) == (str(failed.id), item["updated_at"])


async def test_pages_go_on_without_the_prefix(me: Caller, old: httpx.AsyncClient) -> None:
    for _ in range(2):
        await me.document()
    first = await old.get("/documents", params={"limit": 1})
    link = first.links["next"]["url"]
    assert link.startswith("/documents?")
    second = await old.get(link, headers={"If-None-Match": first.headers["etag"]})
    assert (second.status_code, second.json()["next_cursor"]) == (200, None)
    same = await old.get(link, headers={"If-None-Match": second.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


async def test_frames_have_the_older_names_replayed_and_live(me: Caller, old: httpx.AsyncClient) -> None:
    first = await me.document(S.PENDING)
    async with listening(old, last_event_id="0") as stream:
        replayed = await stream.events(2)
        await me.move(first, S.PROCESSING, S.ANALYZING, S.COMPLETED)
        failed = await me.document(S.FAILED)
        live = await stream.events(7)
    assert [event.data["status"] for event in replayed] == ["uploaded", "pending"]
    assert all(event.data["timestamp"] == event.data["at"] for event in replayed + live)
    done, failure = live[2].data, live[-1].data
    assert (done["filename"], done["result"], done["analysis_result"]) == ("paper.pdf", RESULT, RESULT)
    assert (failure["document_id"], failure["error_message"]) == (str(failed.id), "The document is damaged.")
    assert not {"result", "analysis_result"} & failure.keys()
    # Ids are those of the other stream: a client may change over.
    assert live[-1].id == await me.cursor()


async def test_folder_s_files_are_counted_and_described(me: Caller, old: httpx.AsyncClient) -> None:
    await completed(me, folder="case/study", title="A plan", words=9)
    await completed(me, folder="case")
    for method in ("GET", "POST"):
        answer = await old.request(method, "/folder-insights/case/study/get_folder_files_metadata")
        body = answer.json()
        assert (answer.status_code, body["folder"], body["total_documents"]) == (200, "case/study", 1)
        (item,) = body["items"]
        assert (item["title"], item["words"], item["content_type"]) == ("A plan", 9, "application/pdf")
    above = await old.get("/folder-insights/case/get_folder_files_metadata", params={"limit": 1})
    assert (above.json()["total_documents"], len(above.json()["items"])) == (2, 1)


async def test_document_is_deleted(me: Caller, old: httpx.AsyncClient) -> None:
    document_id = await completed(me)
    assert (await old.delete(f"/documents/{document_id}")).status_code == 204
    assert (await old.get(f"/documents/{document_id}")).status_code == 404


ROUTES = [
    ("POST", "/upload"),
    ("POST", "/documents/upload"),
    ("POST", "/documents"),
    ("POST", "/api/v1/documents/"),
    ("GET", "/documents"),
    ("GET", "/api/v1/documents/"),
    ("GET", "/documents/stream"),
    ("GET", "/documents/{id}"),
    ("GET", "/documents/{id}/status"),
    ("POST", "/documents/{id}/process"),
    ("DELETE", "/documents/{id}"),
    ("GET", "/folder-insights/a/get_folder_files_metadata"),
    ("POST", "/folder-insights/a/get_folder_files_metadata"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_route_asks_for_a_token(api: str, method: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=api) as anybody:
        answer = await anybody.request(method, path.format(id=uuid4()))
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "{id}" in route[1]])
async def test_foreign_document_is_like_one_that_never_was(
    old: httpx.AsyncClient, api: str, stack_settings: Settings, backends: Backends, method: str, path: str
) -> None:
    async with calling(api, stack_settings, backends) as stranger:
        theirs = await stranger.document(S.COMPLETED)
    answers = [await old.request(method, path.format(id=one)) for one in (theirs.id, uuid4(), "x")]
    bodies = [answer.json() | {"instance": "", "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert bodies == [bodies[0]] * 3


async def test_description_does_not_name_them(api: str) -> None:
    async with httpx.AsyncClient(base_url=api) as anybody:
        paths = (await anybody.get("/openapi.json")).json()["paths"]
    outside = {path for path in paths if not path.startswith("/api/v1/")}
    assert outside == {"/livez", "/readyz", "/version"}
    assert not {"/api/v1/documents/", "/api/v1/upload"} & paths.keys()
