"""What every call ledger promises: one live intent a key, nothing paid for twice, no budget passed, nothing left."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.document import Document, DocumentStatus
from shared.ledger import ANSWER_KEPT_FOR, Admission, Call, CallState, DayUsage, StoredAnswer, call_key
from tests.contracts.paths import stored
from tests.support.builders import move, new_document

S = DocumentStatus
A = Admission
# Kept answers carry a time to live, which a store may act on: they are of today.
TODAY = utc_now().replace(hour=12)


async def analyzing(backends: Backends, owner: UUID | None = None) -> Document:
    return await stored(backends, S.ANALYZING, new_document(owner=owner))


def call_for(document: Document, key: str = "k" * 64, *, at: datetime = TODAY, **facts: Any) -> Call:
    defaults: dict[str, Any] = {
        "id": uuid7(),
        "owner": document.owner,
        "document_id": document.id,
        "run": document.run,
        "fence": document.fence,
        "call_key": key,
        "model": "gpt-4.1",
        "started_at": at,
        "until": at + timedelta(seconds=60),
        "reserved_micro_usd": 100,
    }
    return Call(**{**defaults, **facts})


def done(call: Call, **facts: Any) -> Call:
    bill: dict[str, Any] = {"input_tokens": 70, "output_tokens": 9, "cost_micro_usd": 42}
    return replace(
        call, **{"state": CallState.DONE, "ended_at": call.started_at + timedelta(seconds=1), **bill, **facts}
    )


def failed(call: Call, error: str = "llm_unavailable", state: CallState = CallState.ERROR) -> Call:
    nothing = {"input_tokens": 0, "output_tokens": 0, "cost_micro_usd": 0}
    return done(call, state=state, error=error, **nothing)


def answer_of(call: Call, text: str = '{"summary": "A short text."}') -> StoredAnswer:
    return StoredAnswer(
        call_id=call.id,
        answer=text,
        model=call.model,
        input_tokens=70,
        output_tokens=9,
        cost_micro_usd=42,
        expires_at=call.started_at + ANSWER_KEPT_FOR,
    )


async def begin(backends: Backends, call: Call, *, force: bool = False, limit: int | None = None) -> Admission:
    return await backends.ledger.begin(call, replace=force, day_limit_micro_usd=limit)


async def settle(backends: Backends, call: Call, keep: StoredAnswer | None = None, *, force: bool = False) -> None:
    await backends.ledger.settle(call, keep=keep, replace=force)


async def kept(backends: Backends, call: Call, *, after: timedelta = timedelta(minutes=1)) -> StoredAnswer | None:
    return await backends.ledger.answer(call.owner, call.call_key, now=call.started_at + after)


async def paid(backends: Backends, document: Document, **facts: Any) -> Call:
    call = call_for(document, **facts)
    assert await begin(backends, call) is A.ACCEPTED
    await settle(backends, done(call), answer_of(call))
    return call


async def ledger_of(backends: Backends, document: Document) -> list[Call]:
    return await backends.ledger.calls(document.id, run=document.run)


async def test_call_is_in_the_ledger_from_its_intent_to_its_bill(backends: Backends) -> None:
    document = await analyzing(backends)
    call = call_for(document)
    assert await begin(backends, call) is A.ACCEPTED
    assert await ledger_of(backends, document) == [call]
    await settle(backends, done(call), answer_of(call))
    assert await ledger_of(backends, document) == [done(call)]
    assert await kept(backends, call) == answer_of(call)


async def test_of_twenty_concurrent_begins_one_is_accepted(backends: Backends) -> None:
    owner = uuid4()
    documents = [await analyzing(backends, owner) for _ in range(20)]
    admissions = await asyncio.gather(*(begin(backends, call_for(document)) for document in documents))
    assert Counter(admissions) == {A.ACCEPTED: 1, A.IN_FLIGHT: 19}
    ledgers = [await ledger_of(backends, document) for document in documents]
    assert sum(len(ledger) for ledger in ledgers) == 1


async def test_other_owner_and_other_key_do_not_wait(backends: Backends) -> None:
    document = await analyzing(backends)
    assert await begin(backends, call_for(document)) is A.ACCEPTED
    assert await begin(backends, call_for(document, "o" * 64)) is A.ACCEPTED
    assert await begin(backends, call_for(await analyzing(backends))) is A.ACCEPTED


@pytest.mark.parametrize("to", [S.COMPLETED, S.PROCESSING, S.PENDING, S.CANCELLED, S.DELETING])
async def test_document_that_is_no_longer_held_gets_no_call(backends: Backends, to: S) -> None:
    document = await analyzing(backends)
    await backends.documents.apply(move(document, to))
    assert await begin(backends, call_for(document)) is A.FENCED
    assert await ledger_of(backends, document) == []


async def test_stale_fence_gets_no_call_while_its_successor_analyzes(backends: Backends) -> None:
    document = await analyzing(backends)
    reclaimed = move(document, S.PROCESSING)
    await backends.documents.apply(reclaimed)
    await backends.documents.apply(move(reclaimed.after, S.ANALYZING))
    assert await begin(backends, call_for(document)) is A.FENCED
    assert await begin(backends, call_for(reclaimed.after)) is A.ACCEPTED


async def test_no_call_is_accepted_while_an_answer_is_kept(backends: Backends) -> None:
    document = await analyzing(backends)
    await paid(backends, document)
    assert await begin(backends, call_for(document)) is A.STORED
    assert await begin(backends, call_for(document), force=True) is A.ACCEPTED


async def test_answer_expires_and_is_asked_for_again(backends: Backends) -> None:
    document = await analyzing(backends)
    call = await paid(backends, document)
    assert await kept(backends, call, after=ANSWER_KEPT_FOR - timedelta(seconds=1)) is not None
    assert await kept(backends, call, after=ANSWER_KEPT_FOR) is None
    later = call_for(document, at=TODAY + ANSWER_KEPT_FOR)
    assert await begin(backends, later) is A.ACCEPTED
    await settle(backends, done(later), answer_of(later))
    assert await kept(backends, later) == answer_of(later)


async def test_answer_is_kept_though_the_fence_is_gone(backends: Backends) -> None:
    document = await analyzing(backends)
    call = call_for(document)
    await begin(backends, call)
    await backends.documents.apply(move(document, S.PROCESSING))
    await settle(backends, done(call), answer_of(call))
    assert await kept(backends, call) == answer_of(call)


async def test_first_answer_is_kept_unless_it_is_to_be_replaced(backends: Backends) -> None:
    document = await analyzing(backends)
    first = await paid(backends, document)
    second = call_for(document)
    assert await begin(backends, second, force=True) is A.ACCEPTED
    await settle(backends, done(second), answer_of(second, "another"))
    assert await kept(backends, first) == answer_of(first)
    third = call_for(document)
    assert await begin(backends, third, force=True) is A.ACCEPTED
    await settle(backends, done(third), answer_of(third, "a third"), force=True)
    assert await kept(backends, first) == answer_of(third, "a third")


@pytest.mark.parametrize("state", [CallState.ERROR, CallState.AMBIGUOUS])
async def test_failed_call_frees_its_key_at_once(backends: Backends, state: CallState) -> None:
    owner = uuid4()
    first, second = await analyzing(backends, owner), await analyzing(backends, owner)
    call = call_for(first)
    await begin(backends, call)
    assert await begin(backends, call_for(second)) is A.IN_FLIGHT
    await settle(backends, failed(call, state=state))
    assert await ledger_of(backends, first) == [failed(call, state=state)]
    assert await begin(backends, call_for(second)) is A.ACCEPTED


# In DynamoDB time to live does it.
@pytest.mark.parametrize("store", ["postgres"])
async def test_expired_answer_is_taken_away_though_its_owner_asks_no_more(backends: Backends) -> None:
    begun = TODAY - timedelta(days=100)
    call = await paid(backends, await analyzing(backends), at=begun)
    expires_at = answer_of(call).expires_at
    await backends.retention.trim(now=expires_at - timedelta(seconds=1))
    assert await kept(backends, call) == answer_of(call)
    await backends.retention.trim(now=expires_at)
    assert await kept(backends, call) is None


async def test_expired_intent_is_given_up_as_ambiguous(backends: Backends) -> None:
    owner = uuid4()
    first, second = await analyzing(backends, owner), await analyzing(backends, owner)
    call = call_for(first)
    await begin(backends, call)
    assert await begin(backends, call_for(second, at=call.until - timedelta(seconds=1))) is A.IN_FLIGHT
    assert await begin(backends, call_for(second, at=call.until)) is A.ACCEPTED
    [given_up] = await ledger_of(backends, first)
    assert given_up == replace(call, state=CallState.AMBIGUOUS, ended_at=call.until)


async def test_next_claim_of_the_document_does_not_wait_for_its_own_lost_intent(backends: Backends) -> None:
    document = await analyzing(backends)
    lost = call_for(document)
    await begin(backends, lost)
    assert await begin(backends, call_for(document)) is A.IN_FLIGHT
    reclaimed = move(document, S.PROCESSING)
    await backends.documents.apply(reclaimed)
    analyzes = move(reclaimed.after, S.ANALYZING)
    await backends.documents.apply(analyzes)
    again = call_for(analyzes.after, at=TODAY + timedelta(seconds=5))
    assert await begin(backends, again) is A.ACCEPTED
    states = [call.state for call in await ledger_of(backends, document)]
    assert states == [CallState.AMBIGUOUS, CallState.INTENT]


async def test_late_answer_of_a_given_up_call_is_kept_and_billed_once(backends: Backends) -> None:
    owner = uuid4()
    first, second = await analyzing(backends, owner), await analyzing(backends, owner)
    late, other = call_for(first), call_for(second, at=TODAY + timedelta(seconds=60))
    await begin(backends, late)
    await begin(backends, other)
    for _ in range(2):
        await settle(backends, done(late), answer_of(late))
    await settle(backends, done(other), answer_of(other, "second"))
    assert await ledger_of(backends, first) == [done(late)]
    assert await kept(backends, late) == answer_of(late)
    assert await begin(backends, call_for(second, "n" * 64), limit=84) is A.BUDGET_SPENT


async def test_spent_day_gets_no_further_call(backends: Backends) -> None:
    document = await analyzing(backends)
    call = call_for(document, "a" * 64)
    assert await begin(backends, call, limit=100) is A.ACCEPTED
    assert await begin(backends, call_for(document, "b" * 64), limit=100) is A.BUDGET_HELD
    await settle(backends, done(call, cost_micro_usd=99))
    second = call_for(document, "c" * 64)
    assert await begin(backends, second, limit=100) is A.ACCEPTED
    await settle(backends, done(second, cost_micro_usd=1))
    assert await begin(backends, call_for(document, "d" * 64), limit=100) is A.BUDGET_SPENT
    tomorrow = call_for(document, "e" * 64, at=TODAY + timedelta(days=1))
    assert await begin(backends, tomorrow, limit=100) is A.ACCEPTED


async def test_call_whose_cost_nobody_knows_is_charged_with_the_most_that_it_may_have_cost(backends: Backends) -> None:
    document = await analyzing(backends)
    call = call_for(document, "a" * 64)
    assert await begin(backends, call, limit=100) is A.ACCEPTED
    await settle(backends, done(call, cost_micro_usd=None))
    assert await begin(backends, call_for(document, "b" * 64), limit=100) is A.BUDGET_SPENT
    [row] = await ledger_of(backends, document)
    assert (row.cost_micro_usd, row.committed_micro_usd) == (None, 100)


async def test_call_that_nobody_settles_holds_the_budget_no_longer_than_it_may_last(backends: Backends) -> None:
    document = await analyzing(backends)
    lost = call_for(document, "a" * 64)
    await begin(backends, lost, limit=100)
    assert await begin(backends, call_for(document, "b" * 64, at=lost.until), limit=100) is A.BUDGET_SPENT


async def test_of_twenty_concurrent_calls_no_more_are_accepted_than_the_budget_holds(backends: Backends) -> None:
    document = await analyzing(backends)
    calls = [call_for(document, f"{n:064}") for n in range(20)]
    admissions = await asyncio.gather(*(begin(backends, call, limit=450) for call in calls))
    assert Counter(admissions) == {A.ACCEPTED: 5, A.BUDGET_HELD: 15}


async def test_reuse_is_noted_once_for_each_run_and_costs_nothing(backends: Backends) -> None:
    owner = uuid4()
    first, second = await analyzing(backends, owner), await analyzing(backends, owner)
    saved = answer_of(await paid(backends, first))
    for _ in range(2):
        await backends.ledger.reuse(cached(second), saved=saved)
        await backends.ledger.reuse(cached(first), saved=saved)
    assert [call.state for call in await ledger_of(backends, first)] == [CallState.DONE]
    [noted] = await ledger_of(backends, second)
    assert (noted.state, noted.cost_micro_usd, noted.committed_micro_usd) == (CallState.CACHED, 0, 0)


async def test_reuse_by_a_worker_that_lost_its_document_is_not_noted(backends: Backends) -> None:
    document = await analyzing(backends)
    await backends.documents.apply(move(document, S.DELETING))
    await backends.ledger.reuse(cached(document), saved=answer_of(call_for(document)))
    assert await ledger_of(backends, document) == []


def cached(document: Document) -> Call:
    return replace(call_for(document), state=CallState.CACHED, reserved_micro_usd=0, cost_micro_usd=0, ended_at=TODAY)


async def erase(backends: Backends, document: Document) -> None:
    current = await backends.documents.get(document.id)
    assert current is not None
    if current.status is not S.DELETING:
        current = await deleted(backends, current)
    await backends.documents.entomb(current, now=TODAY)


async def deleted(backends: Backends, document: Document) -> Document:
    change = move(document, S.DELETING)
    await backends.documents.apply(change)
    return change.after


async def test_erased_document_leaves_neither_ledger_nor_answer(backends: Backends) -> None:
    document = await analyzing(backends)
    call = await paid(backends, document)
    await begin(backends, call_for(document, "open" * 16))
    await erase(backends, document)
    assert await ledger_of(backends, document) == []
    assert await kept(backends, call) is None


async def test_answer_stays_while_another_document_was_served_by_it(backends: Backends) -> None:
    owner = uuid4()
    first, second = await analyzing(backends, owner), await analyzing(backends, owner)
    call = await paid(backends, first)
    await backends.ledger.reuse(cached(second), saved=answer_of(call))
    await erase(backends, first)
    assert await kept(backends, call) == answer_of(call)
    await erase(backends, second)
    assert await kept(backends, call) is None


async def test_answer_that_comes_after_the_deletion_is_billed_and_not_kept(backends: Backends) -> None:
    document = await analyzing(backends)
    call = call_for(document)
    await begin(backends, call, limit=100)
    gone = await deleted(backends, document)
    await settle(backends, done(call, cost_micro_usd=100), answer_of(call))
    assert await kept(backends, call) is None
    await erase(backends, gone)
    other = await analyzing(backends, document.owner)
    assert await begin(backends, call_for(other, "b" * 64), limit=100) is A.BUDGET_SPENT


async def test_answer_that_comes_after_the_erasure_is_billed_and_not_kept(backends: Backends) -> None:
    document = await analyzing(backends)
    call = call_for(document)
    await begin(backends, call, limit=100)
    await erase(backends, document)
    await settle(backends, done(call, cost_micro_usd=100), answer_of(call))
    assert (await kept(backends, call), await ledger_of(backends, document)) == (None, [])
    other = await analyzing(backends, document.owner)
    assert await begin(backends, call_for(other, "b" * 64), limit=100) is A.BUDGET_SPENT


async def test_usage_adds_up_by_day_model_and_profile_and_outlives_its_documents(backends: Backends) -> None:
    document = await analyzing(backends)
    call = await paid(backends, document)
    await paid(backends, document, key="o" * 64, model="gpt-4.1-mini")
    second = await analyzing(backends, document.owner)
    await backends.ledger.reuse(cached(second), saved=answer_of(call))
    await paid(backends, document, key="p" * 64, profile="trial/a")
    bad, tomorrow = call_for(document, "b" * 64), call_for(document, "t" * 64, at=TODAY + timedelta(days=1))
    for one in (bad, tomorrow):
        await begin(backends, one)
        await settle(backends, failed(one, state=CallState.AMBIGUOUS))
    await erase(backends, document)
    bill: dict[str, Any] = {"input_tokens": 70, "output_tokens": 9, "cost_micro_usd": 42}
    expected = [
        DayUsage(day=tomorrow.day, model="gpt-4.1", calls=1, ambiguous=1),
        DayUsage(day=call.day, model="gpt-4.1", calls=2, ambiguous=1, cached=1, saved_micro_usd=42, **bill),
        DayUsage(day=call.day, model="gpt-4.1", profile="trial/a", calls=1, **bill),
        DayUsage(day=call.day, model="gpt-4.1-mini", calls=1, **bill),
    ]
    window = {"since": call.day, "until": tomorrow.day}
    assert await backends.ledger.usage(document.owner, **window) == expected
    assert await backends.ledger.usage(document.owner, since=call.day, until=call.day) == expected[1:]
    assert await backends.ledger.usage(uuid4(), **window) == []


async def test_usage_of_all_owners_is_the_sum(backends: Backends) -> None:
    model = f"model-{uuid4().hex}"
    for _ in range(3):
        await paid(backends, await analyzing(backends), model=model)
    days = await backends.ledger.usage(None, since=TODAY.date(), until=TODAY.date())
    assert [(day.calls, day.cost_micro_usd) for day in days if day.model == model] == [(3, 126)]


def test_key_depends_on_everything_that_an_answer_depends_on() -> None:
    parts: dict[str, Any] = {
        "model": "gpt-4.1", "prompt_version": "1", "schema_version": "1", "parameters": {}, "text": "Pay \ud800"
    }  # fmt: skip
    others = {"model": "o3", "prompt_version": "2", "schema_version": "2", "parameters": {"n": 1}, "text": "Pay"}
    keys = {call_key(**parts), *(call_key(**parts | {name: value}) for name, value in others.items())}
    assert len(keys) == 6
    assert call_key(**parts) == call_key(**parts)


async def test_new_calls_and_late_bills_of_one_owner_do_not_lock_each_other_out(backends: Backends) -> None:
    """Each new call gives an old intent up while the bills of others come in: all of them touch the owner's day."""
    owner = uuid4()
    documents = [await analyzing(backends, owner) for _ in range(24)]
    old = [call_for(document, key=f"{number:064}") for number, document in enumerate(documents)]
    assert {await begin(backends, call) for call in old} == {A.ACCEPTED}
    later = timedelta(minutes=2)
    new = [replace(call, id=uuid7(), started_at=call.started_at + later, until=call.until + later) for call in old[::2]]
    begun, _ = await asyncio.gather(
        asyncio.gather(*(begin(backends, call) for call in new)),
        asyncio.gather(*(settle(backends, done(call), answer_of(call)) for call in old[1::2])),
    )
    assert set(begun) == {A.ACCEPTED}
