"""What `GET /usage` tells whom."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.accounts import Role
from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.ledger import Admission, Call, CallState
from shared.settings import Settings
from tests.support.callers import Caller, calling
from tests.support.paid_calls import analyzing


async def charge(backends: Backends, me: Caller, *, micro_usd: int, days_ago: int = 0) -> None:
    at = utc_now() - timedelta(days=days_ago)
    document = await analyzing(backends, owner=me.user.id)
    call = Call(
        id=uuid7(),
        owner=me.user.id,
        document_id=document.id,
        run=document.run,
        fence=document.fence,
        call_key=f"{document.id}",
        model="gpt-4.1",
        started_at=at,
        until=at + timedelta(minutes=1),
    )
    assert await backends.ledger.begin(call, replace=False, day_limit_micro_usd=None) is Admission.ACCEPTED
    bill = {"input_tokens": 100, "output_tokens": 10, "cost_micro_usd": micro_usd}
    ended = {name: getattr(call, name) for name in Call.__slots__} | bill | {"state": CallState.DONE, "ended_at": at}
    await backends.ledger.settle(Call(**ended), keep=None, replace=False)


async def test_usage_is_the_callers_own_by_day_and_model(me: Caller, backends: Backends) -> None:
    await charge(backends, me, micro_usd=1_500_000)
    await charge(backends, me, micro_usd=500_000, days_ago=2)
    await charge(backends, me, micro_usd=9, days_ago=40)
    answer = (await me.client.get("/usage")).json()
    assert [(item["model"], item["calls"], item["cost_usd"]) for item in answer["items"]] == [
        ("gpt-4.1", 1, 1.5),
        ("gpt-4.1", 1, 0.5),
    ]
    assert answer["items"][0]["day"] == answer["until"]
    assert {item["profile"] for item in answer["items"]} == {"default"}
    assert answer["total"] == {
        "calls": 2, "cached": 0, "input_tokens": 200, "output_tokens": 20, "cost_usd": 2.0, "saved_usd": 0.0
    }  # fmt: skip


async def test_window_is_what_was_asked_for(me: Caller, backends: Backends) -> None:
    await charge(backends, me, micro_usd=7, days_ago=40)
    since = (utc_now() - timedelta(days=50)).date().isoformat()
    answer = (await me.client.get("/usage", params={"since": since})).json()
    assert [item["cost_usd"] for item in answer["items"]] == [0.000007]


@pytest.mark.parametrize(
    "window",
    [{"since": "2026-02-30"}, {"since": "2026-03-02", "until": "2026-03-01"}, {"since": "1999-01-01"}, {"until": "x"}],
)
async def test_impossible_window_is_refused(me: Caller, window: dict[str, str]) -> None:
    answer = await me.client.get("/usage", params=window)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_first_day_of_all_is_answered(me: Caller) -> None:
    assert (await me.client.get("/usage", params={"until": "0001-01-01"})).json()["items"] == []


async def test_everybodys_usage_is_for_admins(
    me: Caller, backends: Backends, api: str, stack_settings: Settings
) -> None:
    await charge(backends, me, micro_usd=3)
    assert (await me.client.get("/usage", params={"all": True})).status_code == 403
    async with calling(api, stack_settings, backends, role=Role.ADMIN) as admin:
        everybody = (await admin.client.get("/usage", params={"all": True})).json()
        assert everybody["total"]["cost_usd"] >= 0.000003
        assert (await admin.client.get("/usage")).json()["items"] == []


async def test_usage_needs_a_token(me: Caller) -> None:
    assert (await me.client.get("/usage", headers={"Authorization": ""})).status_code == 401
