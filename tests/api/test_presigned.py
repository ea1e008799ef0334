"""Uploads straight to the bucket: what a form allows, and what becomes of the file that it brought."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from api_service.app import assemble
from shared.bootstrap import Backends, open_backends
from shared.clock import utc_now
from shared.errors import MoveRefusedError
from shared.settings import Settings
from tests.support.callers import Caller
from tests.support.documents import pdf
from worker_service.upkeep import reconciler_of

PDF = pdf(["The turbine hall was inspected."])


async def begin(client: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    body = {"filename": "report.pdf", "size": len(PDF), "content_type": "application/pdf", **asked}
    answer = await client.post("/documents/uploads", json=body)
    assert answer.status_code == 201, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


async def put(begun: dict[str, Any], body: bytes = PDF, changed: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as bucket:
        return await bucket.post(begun["url"], data=begun["fields"] | (changed or {}), files={"file": body})


async def finish(client: httpx.AsyncClient, begun: dict[str, Any]) -> httpx.Response:
    return await client.post(f"/documents/{begun['id']}/uploaded")


def policy(begun: dict[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(base64.b64decode(begun["fields"]["policy"]))
    return decoded


async def test_file_is_checked_and_its_document_waits_for_a_worker(me: Caller) -> None:
    begun = await begin(me.client, folder="/a//b/")
    assert (await put(begun)).status_code == 204
    answer = await finish(me.client, begun)
    document = (await me.client.get(f"/documents/{begun['id']}")).json()
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert (document["sha256"], document["size"]) == (hashlib.sha256(PDF).hexdigest(), len(PDF))
    assert (document["folder"], document["content_type"]) == ("a/b", "application/pdf")
    assert [entry["to"] for entry in document["history"]] == ["uploaded", "pending"]


async def test_file_that_is_not_to_be_processed_is_only_uploaded(client: httpx.AsyncClient) -> None:
    begun = await begin(client, process=False)
    await put(begun)
    assert (await finish(client, begun)).json()["status"] == "uploaded"


async def test_finishing_again_changes_nothing(me: Caller) -> None:
    begun = await begin(me.client)
    await put(begun)
    answers = await asyncio.gather(*(finish(me.client, begun) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert [status for _, _, status in await me.events()] == ["uploaded", "pending"]


async def test_finishing_before_the_file_is_there_is_a_conflict(client: httpx.AsyncClient) -> None:
    begun = await begin(client)
    answer = await finish(client, begun)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_uploaded")
    await put(begun)
    assert (await finish(client, begun)).status_code == 202


async def test_nobody_finishes_anothers_upload(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    begun = await begin(client)
    assert (await finish(stranger, begun)).status_code == 404


async def test_file_with_a_wrong_extension_fails_with_its_cause(client: httpx.AsyncClient) -> None:
    begun = await begin(client, filename="report.txt", content_type="text/plain")
    await put(begun)
    failed = (await finish(client, begun)).json()
    assert (failed["status"], failed["error"]["code"]) == ("failed", "unsupported_type")
    assert "starts like a PDF" in failed["error"]["detail"]


async def test_form_takes_nothing_larger_than_was_announced(client: httpx.AsyncClient) -> None:
    begun = await begin(client, size=10_485_760)
    assert (await put(begun, b"%PDF-" + bytes(11_534_336))).status_code == 400
    assert (await finish(client, begun)).status_code == 409


async def test_file_that_got_larger_than_allowed_past_the_form_fails(me: Caller) -> None:
    begun = await begin(me.client)
    document = await me.backends.documents.get(begun["id"])
    assert document is not None
    await me.backends.blobs.put(document.blob_key, bytes(10_485_761), content_type="application/pdf")
    assert (await finish(me.client, begun)).json()["error"]["code"] == "too_large"


@pytest.mark.parametrize("field", ["key", "Content-Type", "x-amz-meta-process"])
async def test_form_with_an_altered_field_is_refused(client: httpx.AsyncClient, field: str) -> None:
    begun = await begin(client)
    assert (await put(begun, changed={field: f"{begun['fields'][field]}x"})).status_code == 403


async def test_form_allows_exactly_one_object_and_expires_before_the_sweep(me: Caller) -> None:
    begun = await begin(me.client)
    allowed = policy(begun)
    conditions = allowed["conditions"]
    assert ["content-length-range", 1, len(PDF)] in conditions
    assert {"key": f"o/{me.user.id}/{begun['id']}/original"} in conditions
    assert {"Content-Type": "application/pdf"} in conditions
    assert not [one for one in conditions if isinstance(one, list) and one[0] == "starts-with"]
    expiry = datetime.fromisoformat(begun["expires_at"])
    assert abs(datetime.fromisoformat(allowed["expiration"]) - expiry) < timedelta(seconds=5)
    assert expiry < datetime.now(UTC) + timedelta(minutes=6)


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"size": 10_485_761}, 413, "too_large"),
        ({"size": 0}, 422, "empty"),
        ({"filename": "///"}, 422, "missing_filename"),
        ({"filename": "setup.exe"}, 415, "unsupported_type"),
        ({"content_type": "text/html"}, 415, "unsupported_type"),
        ({"size": -1}, 422, "invalid_request"),
        # Misspelt, it would start what was not to be started.
        ({"proces": False}, 422, "invalid_request"),
    ],
)
async def test_what_would_be_refused_anyway_gets_no_form(
    client: httpx.AsyncClient, asked: dict[str, Any], status: int, code: str
) -> None:
    body = {"filename": "report.pdf", "size": 10, "content_type": "application/pdf", **asked}
    answer = await client.post("/documents/uploads", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("given", ["", "application/octet-stream", "Application/PDF; x=y"])
async def test_type_is_that_of_the_name_when_the_client_says_no_other(client: httpx.AsyncClient, given: str) -> None:
    assert (await begin(client, content_type=given))["fields"]["Content-Type"] == "application/pdf"


async def test_file_replaced_after_it_was_checked_is_not_what_was_uploaded(me: Caller) -> None:
    begun = await begin(me.client)
    await put(begun)
    await finish(me.client, begun)
    other = PDF.replace(b"turbine", b"boilers")
    assert (await put(begun, other)).status_code == 204
    document = await me.backends.documents.get(begun["id"])
    assert document is not None
    assert document.sha256 == hashlib.sha256(PDF).hexdigest()
    assert await me.backends.blobs.get(document.blob_key) == other


async def test_abandoned_upload_is_swept_with_its_file(own_settings: Settings, own_backends: Backends) -> None:
    uploads = assemble(own_settings, own_backends).presigned
    asked = {"filename": "a.pdf", "content_type": "", "folder": "", "profile": "default"}
    begun = await uploads.begin(owner=uuid4(), size=len(PDF), process=True, **asked)
    await put({"url": begun.form.url, "fields": dict(begun.form.fields)})
    later = replace(reconciler_of(own_settings, own_backends), clock=lambda: utc_now() + timedelta(minutes=16))
    assert await later.sweep(asyncio.Event()) == 1
    swept = await own_backends.documents.get(begun.document.id)
    assert swept is not None
    assert swept.entombed


async def test_upload_that_is_deleted_meanwhile_is_not_answered_as_accepted(
    me: Caller, stack_settings: Settings
) -> None:
    begun = await begin(me.client)
    await put(begun)
    before = await me.backends.documents.get(UUID(begun["id"]))
    assert before is not None
    await me.client.delete(f"/documents/{begun['id']}")
    with pytest.raises(MoveRefusedError):
        await assemble(stack_settings, me.backends).presigned.finish(before)


async def test_form_leads_to_where_clients_reach_the_bucket(stack_settings: Settings) -> None:
    settings = stack_settings.model_copy(update={"s3_public_url": "https://files.example.com"})
    async with open_backends(settings) as backends:
        form = await backends.blobs.upload_form(
            "k", content_type="text/plain", max_bytes=1, labels={}, expires_seconds=9
        )
        url = await backends.blobs.download_url("k", filename="a.txt", expires_seconds=9)
    assert form.url == f"https://files.example.com/{settings.bucket}"
    assert url.startswith(f"https://files.example.com/{settings.bucket}/k?")
