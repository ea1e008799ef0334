"""What the classify routes start, refuse and leave alone; the worker's part is in test_classified."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from api_service.labels import MAX_LABELS
from shared.document import Document, DocumentStatus
from tests.support.builders import report
from tests.support.callers import Caller

S = DocumentStatus
LABELS = {"labels": [{"name": "Invoice"}, {"name": "Pumps", "description": "Anything about pumps and valves."}]}
OTHER = {"labels": [{"name": "Poem"}]}


async def stored(me: Caller, document: Document) -> Document:
    found = await me.backends.documents.get(document.id)
    assert found is not None
    return found


async def test_completed_document_gets_a_run_and_keeps_its_analysis(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    answer = await me.client.post(f"/documents/{document.id}/classify", json=LABELS)
    assert (answer.status_code, answer.json()["status"], answer.json()["run"]) == (202, "pending", 2)
    assert answer.headers["location"] == f"/api/v1/documents/{document.id}"
    now = await stored(me, document)
    assert [(label.name, label.description) for label in now.options.labels] == [
        ("Invoice", None),
        ("Pumps", "Anything about pumps and valves."),
    ]
    assert now.report == report()
    shown = (await me.client.get(f"/documents/{document.id}")).json()
    assert (shown["analysis"]["summary"], shown["classification"]) == ("A short text.", None)


@pytest.mark.parametrize("status", [S.UPLOADED, S.FAILED, S.CANCELLED])
async def test_document_that_waits_or_ended_otherwise_gets_one_too(me: Caller, status: DocumentStatus) -> None:
    document = await me.document(status)
    assert (await me.client.post(f"/documents/{document.id}/classify", json=LABELS)).status_code == 202


async def test_same_labels_are_asked_for_once_while_it_is_under_way_and_other_ones_wait(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    url = f"/documents/{document.id}/classify"
    first, again = [await me.client.post(url, json=LABELS) for _ in range(2)]
    assert (first.status_code, again.status_code, again.json()["run"]) == (202, 202, 2)
    other = await me.client.post(url, json=OTHER)
    assert (other.status_code, other.json()["code"], other.headers["retry-after"]) == (409, "under_way", "5")
    assert (await stored(me, document)).run == 2


async def test_document_that_is_processed_for_something_else_has_to_end_first(me: Caller) -> None:
    document = await me.document(S.PROCESSING)
    answer = await me.client.post(f"/documents/{document.id}/classify", json=LABELS)
    assert (answer.status_code, answer.json()["code"]) == (409, "under_way")


async def test_classified_document_is_left_alone_unless_forced_or_asked_for_others(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    url = f"/documents/{document.id}/classify"
    await me.client.post(url, json=LABELS)
    document = await me.move(await stored(me, document), S.PROCESSING, S.ANALYZING, S.COMPLETED)
    same = await me.client.post(url, json=LABELS)
    assert (same.status_code, same.json()["run"]) == (200, 2)
    forced = await me.client.post(url, json={**LABELS, "force": True})
    assert (forced.status_code, forced.json()["run"]) == (202, 3)
    assert (await stored(me, document)).force
    await me.move(await stored(me, document), S.PROCESSING, S.ANALYZING, S.COMPLETED)
    assert (await me.client.post(url, json=OTHER)).json()["run"] == 4


async def test_idempotency_key_gets_the_first_answer(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    request: dict[str, Any] = {"url": f"/documents/{document.id}/classify", "headers": {"Idempotency-Key": "k"}}
    first, again = [await me.client.post(json=LABELS, **request) for _ in range(2)]
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert (await me.client.post(json=OTHER, **request)).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"labels": []},
        {"labels": [{"name": f"label {number}"} for number in range(MAX_LABELS + 1)]},
        {"labels": [{"name": ""}]},
        {"labels": [{"name": "?!"}]},
        {"labels": [{"name": "x" * 65}]},
        {"labels": [{"name": " spaced"}]},
        {"labels": [{"name": "two\nlines"}]},
        {"labels": [{"name": "hid\u200bden"}]},
        {"labels": [{"name": "a", "description": "x" * 301}]},
        {"labels": [{"name": "a", "description": "b\u202ec"}]},
        {"labels": [{"name": "Same"}, {"name": "same"}]},
        {"labels": [{"name": "Same"}, {"name": "Same\u3164"}]},
        {"labels": [{"name": "\u2708 Same"}, {"name": "\u2708\ufe0f same"}]},
        {"labels": [{"name": "Caf\u00e9"}, {"name": "Cafe\u0301"}]},
        {"labels": [{"name": "\u3164"}]},
        {"labels": [{"name": "a", "colour": "red"}]},
        {"labels": ["a"]},
    ],
    ids=lambda body: str(body)[:40].encode("ascii", "replace").decode(),
)
async def test_odd_labels_are_refused(me: Caller, body: dict[str, Any]) -> None:
    document = await me.document(S.COMPLETED)
    for url in (f"/documents/{document.id}/classify", "/folders/in/classify"):
        answer = await me.client.post(url, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text


async def test_most_and_longest_labels_are_accepted(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    # Variation selectors are part of what keyboards write.
    labels = [{"name": f"{number:02}\u2708\ufe0f" + "ß" * 60, "description": "Ü" * 300} for number in range(MAX_LABELS)]
    answer = await me.client.post(f"/documents/{document.id}/classify", json={"labels": labels})
    assert answer.status_code == 202
    too_much = await me.client.post(f"/documents/{document.id}/classify", content=b" " * 65_537)
    assert too_much.status_code == 413


async def test_folder_with_its_subfolders_is_started_page_by_page_once(me: Caller) -> None:
    inside = [await me.document(S.COMPLETED, folder=folder) for folder in ("in", "in/box", "in")]
    outside, working = await me.document(S.COMPLETED, folder="inn"), await me.document(S.PROCESSING, folder="in")
    cursor = await me.cursor()
    first = (await me.client.post("/folders/in/classify?limit=3", json=LABELS)).json()
    assert (first["folder"], first["started"], first["unchanged"], first["feed_cursor"]) == ("in", 2, 0, cursor)
    assert [(one["id"], one["code"]) for one in first["skipped"]] == [(str(working.id), "under_way")]
    rest = {"limit": 3, "cursor": first["next_cursor"]}
    second = (await me.client.post("/folders/in/classify", params=rest, json=LABELS)).json()
    assert (second["started"], second["next_cursor"]) == (1, None)
    again = (await me.client.post("/folders/in/classify", json=LABELS)).json()
    assert (again["started"], again["unchanged"], len(again["skipped"])) == (0, 3, 1)
    assert [(await stored(me, one)).run for one in [*inside, outside, working]] == [2, 2, 2, 1, 1]
    assert {UUID(document_id) for _, document_id, status in (await me.events())[-3:] if status == "pending"} == {
        one.id for one in inside
    }


async def test_folder_that_is_asked_for_again_by_force_starts_what_has_ended_and_nothing_under_way(me: Caller) -> None:
    ended, working = [await me.document(S.COMPLETED, folder="a") for _ in range(2)]
    forced = {**LABELS, "force": True}
    assert (await me.client.post("/folders/a/classify", json=forced)).json()["started"] == 2
    await me.move(await stored(me, ended), S.PROCESSING, S.ANALYZING, S.COMPLETED)
    plain, again = [(await me.client.post("/folders/a/classify", json=body)).json() for body in (LABELS, forced)]
    assert (plain["started"], plain["unchanged"]) == (0, 2)
    assert (again["started"], again["unchanged"]) == (1, 1)
    assert [(await stored(me, one)).run for one in (ended, working)] == [3, 2]


async def test_folder_of_somebody_else_is_like_an_empty_one(me: Caller, stranger: Any) -> None:
    document = await me.document(S.COMPLETED, folder="mine")
    theirs, nobodys = [
        (await stranger.post(f"/folders/{folder}/classify", json=LABELS)).json() for folder in ("mine", "nobodys")
    ]
    assert theirs | {"folder": ""} == nobodys | {"folder": ""}
    assert (theirs["started"], (await stored(me, document)).run) == (0, 1)
