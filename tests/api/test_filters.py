"""What `GET /documents` can be narrowed to."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from tests.support.builders import NOW, S
from tests.support.callers import Caller

DAY = timedelta(days=1)


async def names(client: httpx.AsyncClient, **query: str) -> list[str]:
    answer = await client.get("/documents", params=query)
    assert answer.status_code == 200, answer.text
    return [item["filename"] for item in answer.json()["items"]]


async def refused(client: httpx.AsyncClient, **query: str) -> str:
    answer = await client.get("/documents", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    field: str = answer.json()["errors"][0]["field"]
    return field


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"type": "PDF"}, ["plan.pdf", "old.pdf"]),
        ({"type": "text/plain"}, ["notes.txt"]),
        ({"type": "txt"}, ["notes.txt"]),
        ({"label": "Other"}, ["notes.txt"]),
        ({"label": "invoice"}, []),
        ({"name": "PLAN"}, ["plan.pdf"]),
        ({"name": "\0plan"}, ["plan.pdf"]),
        ({"name": "", "type": "", "label": "", "from": "", "to": ""}, ["notes.txt", "plan.pdf", "old.pdf"]),
        ({"type": "pdf", "name": "old", "folder": "in"}, ["old.pdf"]),
        ({"type": "pdf", "name": "old", "folder": "out"}, []),
    ],
)
async def test_list_is_narrowed(me: Caller, query: dict[str, str], expected: list[str]) -> None:
    await me.document(S.UPLOADED, filename="old.pdf", folder="in/box", at=NOW - DAY)
    await me.document(S.UPLOADED, filename="plan.pdf")
    await me.document(S.COMPLETED, filename="notes.txt", content_type="text/plain", at=NOW + DAY)
    assert await names(me.client, **query) == expected


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("{day}", "", ["2", "1"]),
        ("", "{day}", ["1", "0"]),
        ("{day}", "{day}", ["1"]),
        ("{day}T03:04:05.678901Z", "", ["2", "1"]),
        ("{day}T03:04:05.678902", "", ["2"]),
        ("", "{day}T03:04:05.678901+00:00", ["0"]),
        ("", "{day}T04:04:05.678902+01:00", ["1", "0"]),
        ("0001-01-01", "9999-12-30", ["2", "1", "0"]),
    ],
)
async def test_dates_are_days_of_utc_and_times_are_moments(
    me: Caller, since: str, until: str, expected: list[str]
) -> None:
    day = NOW.date().isoformat()
    for number in range(3):
        await me.document(filename=str(number), at=NOW + (number - 1) * DAY)
    assert await names(me.client, **{"from": since.format(day=day), "to": until.format(day=day)}) == expected


@pytest.mark.parametrize("moment", ["yesterday", "9999-12-31", "0001-01-01T00:00:00+14:00", "2026-02-30", "\0"])
async def test_impossible_date_is_a_problem_that_names_the_field(me: Caller, moment: str) -> None:
    assert await refused(me.client, to=moment) == "to"


async def test_other_impossible_filters_are_problems(me: Caller) -> None:
    assert await refused(me.client, type="exe") == "type"
    assert await refused(me.client, label="x" * 201) == "label"
    assert await refused(me.client, name="x" * 256) == "name"
    assert await refused(me.client, folder="/".join("x" * 33)) == "folder"


async def test_cursor_is_good_for_its_own_filters_only(me: Caller) -> None:
    for _ in range(3):
        await me.document(S.UPLOADED, filename="a.pdf")
    answer = await me.client.get("/documents", params={"limit": 1, "name": "a", "status": "UPLOADED"})
    cursor = answer.json()["next_cursor"]
    assert len(await names(me.client, cursor=cursor, name="a", status="uploaded")) == 2
    for query in ({"name": "b", "status": "uploaded"}, {"name": "a"}, {}, {"name": "a", "status": "failed"}):
        assert await refused(me.client, cursor=cursor, **query) == "cursor"
