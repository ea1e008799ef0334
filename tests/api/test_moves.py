"""Requests that move a document, and what a repeat of them gets."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared.document import Document, DocumentStatus
from tests.support.builders import S
from tests.support.callers import PATHS, Caller


async def process(
    client: httpx.AsyncClient, document: Document, key: str | None = None, **body: object
) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post(f"/documents/{document.id}/process", headers=headers, json=body or None)


async def stored(me: Caller, document: Document) -> Document:
    found = await me.backends.documents.get(document.id)
    assert found is not None
    return found


@pytest.mark.parametrize("status", [S.UPLOADED, S.FAILED, S.CANCELLED])
async def test_idle_document_is_started_as_a_new_run(me: Caller, status: DocumentStatus) -> None:
    document = await me.document(status)
    answer = await me.client.post(f"/documents/{document.id}/process")
    assert answer.status_code == 202
    body = answer.json()
    assert (body["status"], body["run"], body["attempt"]) == ("pending", document.run + 1, 0)
    assert (body["queued"], body["error"]) == (True, None)
    stored = await me.backends.documents.get(document.id)
    assert stored is not None
    # Later than the first look at a document whose send was not confirmed: the message is in the queue.
    assert (stored.status, stored.send) == (S.PENDING, 1)
    assert stored.due_at is not None
    assert (stored.due_at - stored.updated_at).total_seconds() > 60


@pytest.mark.parametrize("status", [S.PENDING, S.PROCESSING, S.ANALYZING])
async def test_document_under_way_is_not_started_again(me: Caller, status: DocumentStatus) -> None:
    document = await me.document(status)
    answer = await me.client.post(f"/documents/{document.id}/process")
    assert (answer.status_code, answer.json()["status"], answer.json()["run"]) == (202, status, 1)
    assert await me.backends.documents.get(document.id) == document


async def test_document_under_way_for_something_else_has_to_end_first(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    await me.client.post(f"/documents/{document.id}/classify", json={"labels": [{"name": "Invoice"}]})
    classifying = await stored(me, document)
    for force in (False, True):
        answer = await process(me.client, document, force=force)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (409, "under_way", "5")
    assert await stored(me, document) == classifying


async def test_force_is_not_promised_by_a_run_without_it(me: Caller) -> None:
    document = await me.document(S.FAILED)
    await process(me.client, document)
    assert (await process(me.client, document, force=True)).json()["code"] == "under_way"
    await me.move(await stored(me, document), S.PROCESSING, S.FAILED)
    answers = [await process(me.client, document, force=force) for force in (True, True, False)]
    assert [(answer.status_code, answer.json()["run"]) for answer in answers] == [(202, document.run + 2)] * 3


async def test_completed_document_has_nothing_to_start(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    answer = await me.client.post(f"/documents/{document.id}/process")
    assert (answer.status_code, answer.json()["status"], answer.json()["terminal"]) == (200, "completed", True)
    assert await me.backends.documents.get(document.id) == document


async def test_ten_starts_at_once_make_one_run(me: Caller) -> None:
    document = await me.document(S.UPLOADED)
    answers = await asyncio.gather(*(me.client.post(f"/documents/{document.id}/process") for _ in range(10)))
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(202, "pending")}
    stored = await me.backends.documents.get(document.id)
    assert stored is not None
    assert (stored.run, stored.version) == (1, document.version + 1)


@pytest.mark.parametrize("status", sorted(PATHS.keys() - {S.DELETING}))
async def test_document_is_deleted_from_every_status_and_stays_so(me: Caller, status: DocumentStatus) -> None:
    document = await me.document(status)
    answers = [await me.client.delete(f"/documents/{document.id}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [204, 404, 404]
    stored = await me.backends.documents.get(document.id)
    assert stored is not None
    assert (stored.status, stored.fence) == (S.DELETING, document.fence + 1)
    assert stored.due_at is not None


async def test_of_ten_deletes_at_once_none_fails(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    answers = await asyncio.gather(*(me.client.delete(f"/documents/{document.id}") for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {204, 404}
    assert 204 in {answer.status_code for answer in answers}


async def test_completed_document_runs_again_by_force_and_shows_no_old_result_meanwhile(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    answer = await process(me.client, document, force=True)
    assert (answer.status_code, answer.json()["status"], answer.json()["run"]) == (202, "pending", 2)
    again = await stored(me, document)
    assert (again.force, again.report, again.sha256) == (True, None, document.sha256)


async def test_force_is_of_one_run_only(me: Caller) -> None:
    document = await me.document(S.FAILED)
    await process(me.client, document, force=True)
    await me.move(await stored(me, document), S.PROCESSING, S.FAILED)
    await process(me.client, document)
    assert not (await stored(me, document)).force


async def test_document_that_is_still_uploading_cannot_be_started(me: Caller) -> None:
    assert (await process(me.client, await me.document(S.UPLOADING))).status_code == 409


@pytest.mark.parametrize("body", [{"profile": "none such"}, {"forced": True}, {"force": "perhaps"}])
async def test_wrong_wish_is_a_problem_and_starts_nothing(me: Caller, body: dict[str, Any]) -> None:
    document = await me.document(S.FAILED)
    answer = await process(me.client, document, **body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(body)))
    assert await stored(me, document) == document


async def test_repeat_with_the_same_key_gets_the_same_answer_and_starts_nothing(me: Caller) -> None:
    document, key = await me.document(S.FAILED), uuid4().hex
    first = await process(me.client, document, key)
    # However the run ended in the meantime.
    failed = await me.move(await stored(me, document), S.PROCESSING, S.FAILED)
    again = await process(me.client, document, key)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    assert await stored(me, document) == failed


async def test_answer_that_started_nothing_is_kept_as_well(me: Caller) -> None:
    document, key = await me.document(S.COMPLETED), uuid4().hex
    first = await process(me.client, document, key)
    await process(me.client, document, force=True)
    again = await process(me.client, document, key)
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())


async def test_same_key_with_another_wish_is_refused(me: Caller) -> None:
    document, key = await me.document(S.COMPLETED), uuid4().hex
    await process(me.client, document, key)
    answer = await process(me.client, document, key, force=True)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert await stored(me, document) == document


async def test_key_is_of_one_document(me: Caller) -> None:
    documents, key = [await me.document(S.FAILED) for _ in range(2)], uuid4().hex
    answers = [await process(me.client, document, key) for document in documents]
    assert [answer.json()["id"] for answer in answers] == [str(document.id) for document in documents]


async def test_of_twenty_starts_at_once_with_one_key_all_get_the_answer_of_the_one_run(me: Caller) -> None:
    document, key = await me.document(S.FAILED), uuid4().hex
    answers = await asyncio.gather(*(process(me.client, document, key) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert (await stored(me, document)).run == document.run + 1


@pytest.mark.parametrize("status", [S.UPLOADED, S.PENDING, S.PROCESSING, S.ANALYZING])
async def test_cancel_takes_the_document_out_of_everybodys_hands(me: Caller, status: DocumentStatus) -> None:
    document = await me.document(status)
    answers = [await me.client.post(f"/documents/{document.id}/cancel") for _ in range(2)]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "cancelled")] * 2
    cancelled = await stored(me, document)
    assert (cancelled.version, cancelled.fence, cancelled.due_at, cancelled.lease) == (
        *(document.version + 1, document.fence + 1),
        *(None, None),
    )


@pytest.mark.parametrize("status", [S.UPLOADING, S.COMPLETED, S.FAILED])
async def test_cancel_where_there_is_nothing_to_stop_says_so(me: Caller, status: DocumentStatus) -> None:
    document = await me.document(status)
    answer = await me.client.post(f"/documents/{document.id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert await stored(me, document) == document


async def test_cancelled_document_can_be_started_again(me: Caller) -> None:
    document = await me.document(S.ANALYZING)
    await me.client.post(f"/documents/{document.id}/cancel")
    answer = await process(me.client, document)
    assert (answer.status_code, answer.json()["run"]) == (202, 2)


async def test_foreign_document_is_neither_started_nor_cancelled(me: Caller, stranger: httpx.AsyncClient) -> None:
    document = await me.document(S.PENDING)
    for verb in ("process", "cancel"):
        assert (await stranger.post(f"/documents/{document.id}/{verb}")).status_code == 404
    assert await stored(me, document) == document
