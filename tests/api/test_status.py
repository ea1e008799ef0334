"""`GET /documents/{id}/status`: flags, ETag and waiting for the next change."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest

from shared.bootstrap import Backends
from shared.document import Document, DocumentStatus
from shared.settings import Settings
from tests.support.builders import NOW, S
from tests.support.callers import PATHS, Caller, calling
from tests.support.running import serving
from tests.support.sse import listening

FIELDS = {
    "id",
    "status",
    "version",
    "run",
    "attempt",
    "queued",
    "in_progress",
    "terminal",
    "due_at",
    "error",
}
FLAGS = {
    S.UPLOADING: (False, False, False),
    S.UPLOADED: (False, False, False),
    S.PENDING: (True, False, False),
    S.PROCESSING: (False, True, False),
    S.ANALYZING: (False, True, False),
    S.COMPLETED: (False, False, True),
    S.FAILED: (False, False, True),
    S.CANCELLED: (False, False, True),
}


async def ask(me: Caller, document: Document, *, seen: str | None = None, **query: str) -> httpx.Response:
    headers = {"If-None-Match": seen} if seen else {}
    return await me.client.get(f"/documents/{document.id}/status", params=query, headers=headers)


async def etag_of(me: Caller, document: Document) -> str:
    return (await ask(me, document)).headers["etag"]


async def moved_until(answered: asyncio.Task[httpx.Response], me: Caller, document: Document) -> Document:
    """Move the document to and fro until the request that waits for it is answered."""
    for _ in range(1000):
        if answered.done():
            return document
        document = await me.move(document, S.PENDING if document.working else S.PROCESSING)
    raise AssertionError("a thousand moves did not end the wait")


@pytest.mark.parametrize("status", sorted(PATHS.keys() - {S.DELETING}))
async def test_flags_say_where_the_document_stands(me: Caller, status: DocumentStatus) -> None:
    document = await me.document(status)
    body = (await ask(me, document)).json()
    assert body.keys() == FIELDS
    assert (body["id"], body["status"], body["version"]) == (str(document.id), status, document.version)
    assert (body["queued"], body["in_progress"], body["terminal"]) == FLAGS[status]
    assert (body["due_at"] is None) == (document.due_at is None)
    assert (body["error"] is None) == (status is not S.FAILED)


async def test_etag_changes_with_every_move_and_only_then(me: Caller) -> None:
    document = await me.document(S.PENDING)
    etag = await etag_of(me, document)
    assert await etag_of(me, document) == etag
    assert await etag_of(me, await me.move(document, S.PROCESSING)) != etag


async def test_etags_of_two_documents_differ(me: Caller) -> None:
    assert await etag_of(me, await me.document()) != await etag_of(me, await me.document())


async def test_known_etag_is_answered_without_a_body(me: Caller) -> None:
    document = await me.document()
    etag = await etag_of(me, document)
    answer = await ask(me, document, seen=etag)
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)


async def test_old_etag_is_answered_in_full(me: Caller) -> None:
    document = await me.document(S.PENDING)
    etag = await etag_of(me, document)
    await me.move(document, S.PROCESSING)
    answer = await ask(me, document, seen=etag)
    assert (answer.status_code, answer.json()["status"]) == (200, "processing")


async def test_look_that_is_put_off_is_told_but_ends_no_wait(me: Caller) -> None:
    document, other = await me.document(S.PENDING), await me.document(S.PENDING)
    etag = await etag_of(me, document)
    await me.backends.documents.postpone(document, due_at=NOW + timedelta(days=1))
    answer = await ask(me, document, seen=etag)
    assert (answer.status_code, answer.json()["due_at"]) == (200, (NOW + timedelta(days=1)).isoformat()[:-6] + "Z")
    waiting = [asyncio.create_task(ask(me, document, seen=etag, wait="20")) for _ in range(5)]
    # By then the five wait; one that did not would be told the status as it was.
    for _ in waiting:
        await ask(me, other)
    await me.move(document, S.PROCESSING)
    answers = await asyncio.gather(*waiting)
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "processing")] * 5


async def test_wait_ends_with_the_next_change(me: Caller) -> None:
    document = await me.document(S.PENDING)
    waiting = asyncio.create_task(ask(me, document, wait="20"))
    await moved_until(waiting, me, document)
    answer = await waiting
    assert answer.status_code == 200
    assert answer.json()["version"] > document.version


async def test_change_after_the_etag_ends_the_wait_however_early_it_came(me: Caller) -> None:
    document = await me.document(S.PENDING)
    etag = await etag_of(me, document)
    await me.move(document, S.PROCESSING)
    answer = await me.client.get(
        f"/documents/{document.id}/status", params={"wait": 20}, headers={"If-None-Match": etag}, timeout=10
    )
    assert (answer.status_code, answer.json()["status"]) == (200, "processing")


async def test_one_change_ends_the_wait_of_everybody(me: Caller) -> None:
    document = await me.document(S.PENDING)
    etag = await etag_of(me, document)
    waiting = [asyncio.create_task(ask(me, document, seen=etag, wait="20")) for _ in range(20)]
    await me.move(document, S.PROCESSING)
    answers = await asyncio.gather(*waiting)
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "processing")] * 20


async def test_change_of_another_document_does_not_end_the_wait(me: Caller) -> None:
    document, other = await me.document(S.PENDING), await me.document(S.PENDING)
    etag = await etag_of(me, document)
    waiting = [asyncio.create_task(ask(me, document, seen=etag, wait="20")) for _ in range(5)]
    # By then the five wait; one that did not could not fail here.
    for status in (S.PROCESSING, S.PENDING, S.PROCESSING, S.ANALYZING, S.COMPLETED):
        await ask(me, other)
        other = await me.move(other, status)
    async with listening(me.client, cursor="0", document_id=str(other.id)) as witness:
        await witness.events(7)
    await me.move(document, S.CANCELLED)
    answers = await asyncio.gather(*waiting)
    assert [answer.status_code for answer in answers] == [200] * 5
    assert {answer.json()["status"] for answer in answers} == {"cancelled"}


@pytest.mark.parametrize("status", [S.COMPLETED, S.FAILED, S.CANCELLED])
async def test_terminal_document_is_not_waited_for(me: Caller, status: DocumentStatus) -> None:
    document = await me.document(status)
    etag = await etag_of(me, document)
    for seen, code in ((None, 200), (etag, 304)):
        answer = await me.client.get(
            f"/documents/{document.id}/status",
            params={"wait": 20},
            headers={"If-None-Match": seen} if seen else {},
            timeout=10,
        )
        assert answer.status_code == code


async def test_wait_for_nothing_ends_with_the_same_status(me: Caller) -> None:
    document = await me.document(S.PENDING)
    answer = await ask(me, document, wait="0.2")
    assert (answer.status_code, answer.json()["version"]) == (200, document.version)
    known = await ask(me, document, wait="0.2", seen=answer.headers["etag"])
    assert (known.status_code, known.content) == (304, b"")


async def test_wait_for_a_document_that_is_deleted_meanwhile_ends_not_found(me: Caller) -> None:
    document = await me.document(S.PENDING)
    waiting = [asyncio.create_task(ask(me, document, wait="20")) for _ in range(5)]
    # By then the five wait; one that did not would be told the same.
    for _ in waiting:
        await ask(me, document)
    await me.client.delete(f"/documents/{document.id}")
    answers = await asyncio.gather(*waiting)
    assert {(answer.status_code, answer.json().get("code")) for answer in answers} == {(404, "not_found")}


@pytest.mark.parametrize("wait", ["-1", "20.1", "nan", "inf", "long"])
async def test_wait_out_of_range_is_a_problem(me: Caller, wait: str) -> None:
    answer = await ask(me, await me.document(), wait=wait)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "wait")


async def test_who_waits_for_many_documents_already_is_answered_at_once(
    stack_settings: Settings, backends: Backends
) -> None:
    settings = stack_settings.model_copy(update={"max_streams_per_user": 1})
    async with serving(settings) as base_url, calling(base_url, settings, backends) as me:
        document = await me.document(S.PENDING)
        asked = {asyncio.create_task(ask(me, document, wait="20")) for _ in range(2)}
        # Whichever comes second finds the other there.
        (crowded,), (patient,) = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        moved = await me.move(document, S.PROCESSING)
        answers = [crowded.result(), await patient]
        assert [answer.json()["version"] for answer in answers] == [document.version, moved.version]
        assert answers[0].headers["retry-after"] == "2"
