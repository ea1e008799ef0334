"""One document as a client reads, restarts and deletes it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest

from shared.document import Document, DocumentStatus
from tests.support.builders import NOW, S, move, report
from tests.support.callers import PATHS, Caller

AT = NOW.isoformat()[:-6] + "Z"
TEXT = "Grüße,\nzwei Zeilen: \u2028 and \x85 too.\n"
# Every field that the contract names, `text`, which `?include=text` fills, and the older name of the analysis.
TYPES: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "filename": str,
    "folder": str,
    "content_type": str,
    "size": int,
    "sha256": str,
    "pages": int,
    "status": str,
    "version": int,
    "run": int,
    "attempt": int,
    "analyzer": dict,
    "created_at": str,
    "updated_at": str,
    "error": type(None),
    "analysis": dict,
    "coverage": dict,
    "usage": dict,
    "history": list,
    "text": type(None),
    "result": dict,
    "stages": dict,
    "classification": type(None),
    "title": str,
    "author": str,
    "authored_at": str,
    "words": int,
}
STATED = {"title": "A plan", "author": "Ada", "authored_at": NOW, "words": 9}


async def completed(me: Caller, **facts: Any) -> Document:
    """A document whose text lies in the bucket, as the worker leaves it."""
    document = await me.document(S.PROCESSING, **STATED, **facts)
    text_key = f"{document.prefix}text-1"
    await me.backends.blobs.put(text_key, TEXT.encode(), content_type="text/plain; charset=utf-8")
    analyzing = move(document, S.ANALYZING, pages=3, text_key=text_key)
    await me.backends.documents.apply(analyzing)
    return await me.move(analyzing.after, S.COMPLETED)


async def shown(client: httpx.AsyncClient, document: Document, **query: str) -> dict[str, Any]:
    answer = await client.get(f"/documents/{document.id}", params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_completed_document_has_every_field_of_the_contract(me: Caller) -> None:
    body = await shown(me.client, await completed(me))
    assert body.keys() == TYPES.keys()
    assert {name: type(body[name]) for name in TYPES} == TYPES


async def test_completed_document_has_its_facts_and_its_result(me: Caller) -> None:
    document = await completed(me, filename="Über.pdf", folder="in/box")
    body = await shown(me.client, document)
    assert (UUID(body["id"]), body["filename"], body["folder"]) == (document.id, "Über.pdf", "in/box")
    assert (body["content_type"], body["size"], body["sha256"]) == ("application/pdf", 3, document.sha256)
    assert (body["status"], body["version"], body["run"], body["attempt"]) == ("completed", 5, 1, 1)
    assert (body["pages"], body["created_at"], body["updated_at"]) == (3, AT, AT)
    expected = report().model_dump(mode="json")
    assert {name: body[name] for name in expected} == expected


async def test_failed_document_has_its_cause_and_no_result(me: Caller) -> None:
    body = await shown(me.client, await me.document(S.FAILED))
    assert body["error"] == {"code": "corrupt", "detail": "The document is damaged."}
    assert [body[name] for name in ("analysis", "analyzer", "coverage", "usage", "pages", "text")] == [None] * 6


@pytest.mark.parametrize("status", sorted(PATHS.keys() - {S.DELETING}))
async def test_document_is_shown_in_every_status(me: Caller, status: DocumentStatus) -> None:
    body = await shown(me.client, await me.document(status))
    assert body["status"] == status
    assert [entry["to"] for entry in body["history"]] == list(PATHS[status])


async def test_text_is_included_on_request(me: Caller) -> None:
    document = await completed(me)
    assert (await shown(me.client, document, include="text"))["text"] == TEXT


async def test_text_that_is_not_there_yet_is_null(me: Caller) -> None:
    assert (await shown(me.client, await me.document(S.PENDING), include="text"))["text"] is None


async def test_unknown_inclusion_is_a_problem(me: Caller) -> None:
    answer = await me.client.get(f"/documents/{(await me.document()).id}", params={"include": "everything"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_text_is_plain_utf8(me: Caller) -> None:
    answer = await me.client.get(f"/documents/{(await completed(me)).id}/text")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.content == TEXT.encode()


@pytest.mark.parametrize("status", [S.UPLOADED, S.PENDING, S.FAILED])
async def test_text_before_extraction_is_not_found_by_its_own_code(me: Caller, status: DocumentStatus) -> None:
    answer = await me.client.get(f"/documents/{(await me.document(status)).id}/text")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_text")


async def test_text_that_the_bucket_lost_is_not_found(me: Caller) -> None:
    document = await completed(me)
    await me.backends.blobs.delete_prefix(document.prefix)
    answer = await me.client.get(f"/documents/{document.id}/text")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_history_has_every_move_oldest_first(me: Caller) -> None:
    document = await me.document(S.FAILED)
    answer = await me.client.get(f"/documents/{document.id}/history")
    entry = {"at": AT, "attempt": 0, "reason": None}
    assert answer.json() == [
        entry | {"version": 1, "from": "uploading", "to": "uploaded"},
        entry | {"version": 2, "from": "uploaded", "to": "pending"},
        entry | {"version": 3, "from": "pending", "to": "processing", "attempt": 1},
        entry | {"version": 4, "from": "processing", "to": "failed", "attempt": 1},
    ]
    assert (await shown(me.client, document))["history"] == answer.json()


async def test_history_gives_the_reason_of_a_move(me: Caller) -> None:
    released = move(await me.document(S.PROCESSING), S.PENDING, reason="shutdown", burn_attempt=False)
    await me.backends.documents.apply(released)
    *_, last = (await me.client.get(f"/documents/{released.after.id}/history")).json()
    assert (last["to"], last["reason"], last["attempt"]) == ("pending", "shutdown", 0)


async def test_content_redirects_to_the_very_bytes(me: Caller) -> None:
    document = await me.document(filename="Grüße; x=.pdf")
    await me.backends.blobs.put(document.blob_key, b"%PDF-\x00\xff", content_type="application/pdf")
    answer = await me.client.get(f"/documents/{document.id}/content")
    assert answer.status_code == 302
    location = answer.headers["location"]
    async with httpx.AsyncClient() as anybody:
        file = await anybody.get(location)
    assert (file.status_code, file.content) == (200, b"%PDF-\x00\xff")
    disposition = parse_qs(urlsplit(location).query)["response-content-disposition"]
    assert disposition == ["attachment; filename*=UTF-8''Gr%C3%BC%C3%9Fe%3B%20x%3D.pdf"]
    assert parse_qs(urlsplit(location).query)["X-Amz-Expires"] == ["300"]


async def test_deleted_document_is_gone_from_every_answer(me: Caller) -> None:
    document = await completed(me)
    answer = await me.client.delete(f"/documents/{document.id}")
    assert (answer.status_code, answer.content) == (204, b"")
    for path in ("", "/text", "/history", "/status", "/content"):
        assert (await me.client.get(f"/documents/{document.id}{path}")).status_code == 404
    assert (await me.client.post(f"/documents/{document.id}/process")).status_code == 404
    assert (await me.client.get("/documents")).json()["items"] == []
