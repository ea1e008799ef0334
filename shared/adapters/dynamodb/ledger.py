"""DynamoDBCallLedger: paid calls, kept answers, budgets; what has to hold together is one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace as changed
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shared import log
from shared.adapters.dynamodb import items, ledger_items
from shared.adapters.dynamodb.expressions import (
    NEW,
    SHOWN,
    STORED,
    Item,
    Request,
    Values,
    add,
    check,
    expressed,
    item,
    plain,
    put,
    update,
)
from shared.adapters.dynamodb.table import REFUSED, Action, CanceledError, Table, pauses
from shared.document import DocumentStatus
from shared.errors import BackendUnavailableError
from shared.ledger import Admission, Call, CallState, DayUsage, StoredAnswer

_log = log.get(__name__)

_HELD = "#fence = :fence AND #status = :analyzing"
_MINE = "#intent_id = :id"
# Time to live deletes late: who is expired is not there.
_UNKEPT = "(attribute_not_exists(#expires_at) OR #expires_at <= :now)"
_CLOSED = {CallState.DONE, CallState.ERROR}


class DynamoDBCallLedger:
    def __init__(self, *, table: Table) -> None:
        self._table = table

    async def answer(self, owner: UUID, call_key: str, *, now: datetime) -> StoredAnswer | None:
        stored = await self._table.get(ledger_items.question_key(owner, call_key))
        return _live_answer(stored, now=now)

    async def calls(self, document_id: UUID, *, run: int) -> list[Call]:
        rows = ledger_items.rows_request(document_id, run=run)
        found = [ledger_items.call_from(one) for one in await self._table.query(rows)]
        return sorted(found, key=lambda call: (call.started_at, call.id))

    async def usage(self, owner: UUID | None, *, since: date, until: date) -> list[DayUsage]:
        partitions = ledger_items.usage_partitions(owner)
        found = await asyncio.gather(*(self._days(one, since, until) for one in partitions))
        totals: dict[tuple[date, str, str], DayUsage] = {}
        for part in (part for days in found for part in days):
            key = (part.day, part.model, part.profile)
            so_far = totals.get(key, DayUsage(day=part.day, model=part.model, profile=part.profile))
            summed = {name: getattr(so_far, name) + getattr(part, name) for name in ledger_items.USAGE_COUNTS}
            totals[key] = changed(so_far, **summed)
        return sorted(totals.values(), key=lambda usage: (-usage.day.toordinal(), usage.model, usage.profile))

    async def begin(self, call: Call, *, replace: bool, day_limit_micro_usd: int | None) -> Admission:
        actions = _intent(call, replace=replace, limit=day_limit_micro_usd)
        for pause in pauses():
            try:
                await self._table.transact(*actions.values())
            except CanceledError as exc:
                met = zip(actions, exc.codes, exc.found, strict=True)
                refused = {name: found or {} for name, code, found in met if code == REFUSED}
                if (admission := await self._refusal(call, refused, replace=replace)) is not None:
                    return admission
            else:
                return Admission.ACCEPTED
            await asyncio.sleep(pause)
        raise BackendUnavailableError("DynamoDB: too many calls of one owner at the same time.")

    async def settle(self, call: Call, *, keep: StoredAnswer | None, replace: bool) -> None:
        """In one request when all is as the call left it, which is nearly always; else after a look at it."""
        usual = [*_bill(call, was_open=True), _close(call, CallState.INTENT)]
        try:
            await self._table.transact(*usual, *_ending(call, keep, replace=replace, mine=True))
        except CanceledError:
            await self._settle_as_found(call, keep, replace=replace)

    async def _settle_as_found(self, call: Call, keep: StoredAnswer | None, *, replace: bool) -> None:
        for pause in pauses():
            stored = await self._table.get(ledger_items.call_key(call))
            before = CallState(plain(stored)["state"]) if stored else None
            if before in _CLOSED:
                return
            was_open = before is not CallState.AMBIGUOUS
            actions = _bill(call, was_open=was_open)
            if before is not None:
                actions.append(_close(call, before))
            question = await self._table.get(ledger_items.question_key(call.owner, call.call_key)) or {}
            may_keep = keep is not None and await self._may_keep(call, question, replace=replace)
            mine = plain(question).get("intent_id") == str(call.id)
            actions += _ending(call, keep if may_keep else None, replace=replace, mine=mine)
            try:
                await self._table.transact(*actions)
            except CanceledError:
                await asyncio.sleep(pause)
            else:
                return
        raise BackendUnavailableError("DynamoDB is too busy to settle a call.")

    async def reuse(self, call: Call, *, saved: StoredAnswer) -> None:
        noted = {CallState.DONE, CallState.CACHED}
        known = await self.calls(call.document_id, run=call.run)
        if any(one.call_key == call.call_key and one.state in noted for one in known):
            return
        values = {**ledger_items.reuse_key(call), **ledger_items.call_values(call)}
        actions: list[Action] = [
            ("ConditionCheck", _held(call)),
            ("Put", put(values, condition=NEW)),
            ("Put", {"Item": item(ledger_items.use_values(call))}),
            *_count(call, {"cached": 1, "saved_micro_usd": saved.cost_micro_usd or 0}),
        ]
        for pause in pauses():
            try:
                await self._table.transact(*actions)
            except CanceledError as exc:
                if REFUSED in exc.codes:
                    return
                await asyncio.sleep(pause)
            else:
                return

    async def _days(self, partition: str, since: date, until: date) -> list[DayUsage]:
        # "$" sorts right behind the "#" between day and model; a day alone is a budget.
        request = expressed(
            {"partition": partition, "first": f"{since.isoformat()}#", "last": f"{until.isoformat()}$"},
            KeyConditionExpression="PK = :partition AND SK BETWEEN :first AND :last",
        )
        return [ledger_items.usage_from(one) for one in await self._table.query(request) if "model" in one]

    async def _refusal(self, call: Call, refused: Mapping[str, Item], *, replace: bool) -> Admission | None:
        """What a canceled intent was refused for, by the items it met; None when it is worth another try."""
        if "document" in refused:
            return Admission.FENCED
        if "question" in refused:
            stored = not replace and _live_answer(refused["question"], now=call.started_at) is not None
            return Admission.STORED if stored else await self._contest(call, refused["question"])
        return _over_budget(call, refused["budget"]) if "budget" in refused else None

    async def _contest(self, call: Call, question: Item) -> Admission | None:
        """Give up the intent that is in the way if it is over."""
        key = ledger_items.intended_key(call.call_key, question)
        stored = await self._table.get(key) if key else None
        if stored is None:
            return None
        intent = ledger_items.call_from(stored)
        if intent.id == call.id:
            return Admission.ACCEPTED
        if not intent.superseded_by(call):
            return Admission.IN_FLIGHT
        over = changed(intent, state=CallState.AMBIGUOUS, ended_at=call.started_at)
        try:
            ending = _ending(over, None, replace=False, mine=True)
            await self._table.transact(*_bill(over, was_open=True), _close(over, CallState.INTENT), *ending)
        except CanceledError:
            return None
        _log.warning("llm.ambiguous", call_id=str(over.id), model=over.model, cause="given up")
        return None

    async def _may_keep(self, call: Call, question: Item, *, replace: bool) -> bool:
        """Whether an answer is the first, or shall replace it, and its document is not being deleted."""
        document = await self._table.get(items.document_key(call.document_id))
        if document is None or plain(document)["status"] == DocumentStatus.DELETING:
            return False
        assert call.ended_at is not None, "a settled call has ended"
        return replace or _live_answer(question, now=call.ended_at) is None


def _intent(call: Call, *, replace: bool, limit: int | None) -> dict[str, Action]:
    """The transaction of an intent; each part by what it stands for, because its refusal has a meaning."""
    question = update(
        ledger_items.question_key(call.owner, call.call_key),
        ledger_items.intent_values(call),
        condition=ledger_items.NOBODYS if replace else f"{ledger_items.NOBODYS} AND {_UNKEPT}",
        given={} if replace else {"now": call.started_at},
    )
    reserved = add(
        ledger_items.budget_key(call.owner, call.day),
        {"committed_micro_usd": call.reserved_micro_usd, "open_calls": 1},
        {"open_until": call.until, "ttl": ledger_items.day_ttl(call)},
        condition="" if limit is None else "attribute_not_exists(PK) OR #committed_micro_usd < :limit",
        given={"limit": limit},
    )
    row = {**ledger_items.call_key(call), **ledger_items.call_values(call)}
    return {
        "document": ("ConditionCheck", _held(call)),
        "question": ("Update", {**question, **SHOWN}),
        "call": ("Put", put(row, condition=NEW)),
        "budget": ("Update", {**reserved, **SHOWN}),
    }


def _held(call: Call) -> Request:
    given: Values = {"fence": call.fence, "analyzing": DocumentStatus.ANALYZING}
    return check(items.document_key(call.document_id), condition=_HELD, given=given)


def _bill(call: Call, *, was_open: bool) -> list[Action]:
    """What a closed call changes in its owner's day. One that was given up as ambiguous has been counted already."""
    correction = call.committed_micro_usd - call.reserved_micro_usd
    budget = add(
        ledger_items.budget_key(call.owner, call.day),
        {"committed_micro_usd": correction, "open_calls": -int(was_open)},
        {"ttl": ledger_items.day_ttl(call)},
    )
    counts = {
        "calls": int(was_open),
        "ambiguous": int(call.state is CallState.AMBIGUOUS) - int(not was_open),
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cost_micro_usd": call.cost_micro_usd or 0,
    }
    return [("Update", budget), *_count(call, counts)]


def _ending(call: Call, keep: StoredAnswer | None, *, replace: bool, mine: bool) -> list[Action]:
    """Take the call's intent away, if it is `mine`, and put the answer to keep in its place."""
    changes: Values = ledger_items.NO_INTENT if mine else {}
    conditions: dict[str, Values] = {_MINE: {"id": call.id}} if mine else {}
    if keep is not None:
        changes = {**changes, **ledger_items.answer_values(keep, document_id=call.document_id)}
        if not replace:
            conditions[_UNKEPT] = {"now": call.ended_at}
    if not changes:
        return []
    question = ledger_items.question_key(call.owner, call.call_key)
    given = {name: value for values in conditions.values() for name, value in values.items()}
    written: Action = ("Update", update(question, changes, condition=" AND ".join(conditions), given=given))
    return [written] if keep is None else [written, _still_there(call)]


def _still_there(call: Call) -> Action:
    there = check(
        items.document_key(call.document_id),
        condition=f"{STORED} AND #status <> :deleting",
        given={"deleting": DocumentStatus.DELETING},
    )
    return "ConditionCheck", there


def _count(call: Call, counts: Mapping[str, int]) -> list[Action]:
    facts: dict[str, Any] = {"model": call.model, "profile": call.profile, "ttl": ledger_items.day_ttl(call)}
    return [("Update", add(key, counts, facts)) for key in ledger_items.usage_keys(call)]


def _close(call: Call, before: CallState) -> Action:
    names = ("state", "input_tokens", "output_tokens", "cost_micro_usd", "error", "ended_at")
    values = {name: value for name, value in ledger_items.call_values(call).items() if name in names}
    given = {"before": before}
    return "Update", update(ledger_items.call_key(call), values, condition="#state = :before", given=given)


def _live_answer(question: Item | None, *, now: datetime) -> StoredAnswer | None:
    answer = ledger_items.answer_from(question) if question else None
    return answer if answer and answer.expires_at > now else None


def _over_budget(call: Call, day: Item) -> Admission:
    values = plain(day)
    held = values["open_calls"] > 0 and datetime.fromisoformat(values["open_until"]) > call.started_at
    return Admission.BUDGET_HELD if held else Admission.BUDGET_SPENT
