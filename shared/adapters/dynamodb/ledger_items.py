"""Paid calls, kept answers and budgets as items of the table, and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shared.adapters.dynamodb import items
from shared.adapters.dynamodb.expressions import Item, Key, Request, Value, expressed, plain
from shared.ledger import ANSWER_KEPT_FOR, DAYS_KEPT_FOR, Call, CallState, DayUsage, StoredAnswer

SHARDS = 8
NOBODYS = "attribute_not_exists(#intent_id)"
NO_INTENT = dict.fromkeys(("intent_id", "intent_document_id", "intent_run"))
NO_ANSWER = dict.fromkeys((*(field.name for field in fields(StoredAnswer)), "document_id"))
USAGE_COUNTS = tuple(field.name for field in fields(DayUsage) if field.name not in {"day", "model", "profile"})
_IDS = ("id", "owner", "document_id")
_TIMES = ("started_at", "until", "ended_at")


def call_key(call: Call) -> Key:
    return _ledger_key(call.document_id, call.run, f"{call.call_key}#{call.id}")


def reuse_key(call: Call) -> Key:
    """One for each run and key: whatever is noted again is noted already."""
    return _ledger_key(call.document_id, call.run, f"{call.call_key}#CACHED")


def question_key(owner: UUID, key: str) -> Key:
    """Where a question's kept answer is, and who asks it now: one item, because a call looks at both."""
    return items.key(_cache(owner, key), "R")


def use_key(owner: UUID, key: str, document_id: UUID) -> Key:
    """That a kept answer served another document than it was paid for, so that it does not outlive the last of them."""
    return items.key(_cache(owner, key), f"D#{document_id}")


def budget_key(owner: UUID, day: date) -> Key:
    return items.key(f"B#{owner}", f"{day.isoformat()}")


def usage_keys(call: Call) -> tuple[Key, Key]:
    """Where a day's numbers are kept: the owner's, and everybody's, which are spread because everybody writes them."""
    # Of most, the profile is not said: so were the rows before there were any.
    sort = f"{call.day.isoformat()}#{call.model}" + (f"#{call.profile}" if call.profile != "default" else "")
    return items.key(f"B#{call.owner}", sort), items.key(f"B#ALL#{call.id.int % SHARDS}", sort)


def usage_partitions(owner: UUID | None) -> list[str]:
    return [f"B#{owner}"] if owner else [f"B#ALL#{shard}" for shard in range(SHARDS)]


def usage_from(stored: Item) -> DayUsage:
    values = plain(stored)
    counts = {name: values.get(name, 0) for name in USAGE_COUNTS}
    day, profile = date.fromisoformat(values["SK"].partition("#")[0]), values.get("profile", "default")
    return DayUsage(day=day, model=values["model"], profile=profile, **counts)


def call_values(call: Call) -> dict[str, Value | None]:
    """Every attribute but the table's key."""
    return asdict(call)


def call_from(stored: Item) -> Call:
    values = plain(stored)
    facts: dict[str, Any] = {field.name: values[field.name] for field in fields(Call) if field.name in values}
    ids = {name: UUID(values[name]) for name in _IDS}
    times = {name: datetime.fromisoformat(values[name]) for name in _TIMES if name in values}
    return Call(**facts | ids | times | {"state": CallState(values["state"])})


def rows_request(document_id: UUID, *, run: int | None = None) -> Request:
    """A query of a document's ledger, or of one run's."""
    partition = items.document_key(document_id)["PK"]
    return expressed(
        {"document": partition, "ledger": "L#" if run is None else _run_prefix(run)},
        KeyConditionExpression="PK = :document AND begins_with(SK, :ledger)",
    )


def intent_values(call: Call) -> dict[str, Value | None]:
    """Which row of the ledger is the open one, until an answer takes their place."""
    ttl = _outlived_at(call)
    return {"intent_id": call.id, "intent_document_id": call.document_id, "intent_run": call.run, "ttl": ttl}


def intended_key(key: str, question: Item) -> Key | None:
    """The ledger's row of the open intent; None when nobody asks."""
    values = plain(question)
    if "intent_id" not in values:
        return None
    return _ledger_key(UUID(values["intent_document_id"]), values["intent_run"], f"{key}#{values['intent_id']}")


def answer_values(keep: StoredAnswer, *, document_id: UUID) -> dict[str, Value | None]:
    """`document_id` is the one that it was paid for."""
    packed = {"answer": items.packed(keep.answer), "ttl": int(keep.expires_at.timestamp())}
    return {**asdict(keep), **packed, "document_id": document_id}


def answer_from(question: Item) -> StoredAnswer | None:
    values = plain(question)
    if "answer" not in values:
        return None
    facts: dict[str, Any] = {field.name: values.get(field.name) for field in fields(StoredAnswer)}
    return StoredAnswer(
        **facts
        | {
            "call_id": UUID(values["call_id"]),
            "answer": items.unpacked(values["answer"]),
            "expires_at": datetime.fromisoformat(values["expires_at"]),
        }
    )


def use_values(call: Call) -> dict[str, Value | None]:
    return {**use_key(call.owner, call.call_key, call.document_id), "ttl": _outlived_at(call)}


def day_ttl(call: Call) -> int:
    return int((call.started_at + DAYS_KEPT_FOR).timestamp())


def _outlived_at(call: Call) -> int:
    # Nothing need outlive the answer, whose life begins when the call ends.
    return int((call.until + ANSWER_KEPT_FOR).timestamp())


def _ledger_key(document_id: UUID, run: int, rest: str) -> Key:
    return items.key(f"D#{document_id}", f"{_run_prefix(run)}{rest}")


def _run_prefix(run: int) -> str:
    return f"L#{run:06}#"


def _cache(owner: UUID, key: str) -> str:
    return f"C#{owner}#{key}"
