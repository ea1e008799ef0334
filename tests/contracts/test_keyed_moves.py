"""A move and the answer to whoever asked for it: both are written, or neither is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from shared.bootstrap import Backends
from shared.document import DocumentStatus
from shared.errors import KeyTakenError, MoveRefusedError
from shared.idempotency import IdempotencyRecord
from tests.contracts.paths import stored
from tests.support.builders import move

S = DocumentStatus


def answer_to(owner: UUID, key: str = "") -> IdempotencyRecord:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    return IdempotencyRecord(
        owner=owner, key_hash=key or uuid4().hex, request_hash="r", answer={"n": 1}, status=202, expires_at=expires_at
    )


async def kept(backends: Backends, record: IdempotencyRecord) -> IdempotencyRecord | None:
    return await backends.idempotency.recall(record.owner, record.key_hash, now=datetime.now(UTC))


async def test_answer_is_kept_with_its_move(backends: Backends) -> None:
    failed = await stored(backends, S.FAILED)
    change, record = move(failed, S.PENDING, at=datetime.now(UTC)), answer_to(failed.owner)
    await backends.documents.apply(change, remember=record)
    assert await backends.documents.get(failed.id) == change.after
    assert await kept(backends, record) == record


async def test_refused_move_keeps_no_answer(backends: Backends) -> None:
    failed = await stored(backends, S.FAILED)
    record = answer_to(failed.owner)
    with pytest.raises(MoveRefusedError):
        await backends.documents.apply(move(replace(failed, version=1), S.PENDING), remember=record)
    assert await kept(backends, record) is None


async def test_move_whose_key_has_an_answer_is_not_made(backends: Backends) -> None:
    failed = await stored(backends, S.FAILED)
    record = answer_to(failed.owner)
    assert await backends.idempotency.remember(record)
    events = await backends.feed.events(failed.owner, after=0, limit=100)
    with pytest.raises(KeyTakenError):
        await backends.documents.apply(move(failed, S.PENDING), remember=replace(record, answer={"n": 2}))
    assert await backends.documents.get(failed.id) == failed
    assert await kept(backends, record) == record
    assert await backends.feed.events(failed.owner, after=0, limit=100) == events


async def test_expired_answer_gives_way_to_the_moves(backends: Backends) -> None:
    failed = await stored(backends, S.FAILED)
    record = answer_to(failed.owner)
    await backends.idempotency.remember(replace(record, expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    await backends.documents.apply(move(failed, S.PENDING, at=datetime.now(UTC)), remember=record)
    assert await kept(backends, record) == record


async def test_of_ten_documents_moved_at_once_with_one_key_one_moves(backends: Backends) -> None:
    owner, key = uuid4(), uuid4().hex
    failed = [await stored(backends, S.FAILED) for _ in range(10)]
    moves = [move(one, S.PENDING, at=datetime.now(UTC)) for one in failed]
    outcomes = await asyncio.gather(
        *(backends.documents.apply(change, remember=answer_to(owner, key)) for change in moves), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in outcomes) == ["KeyTakenError"] * 9 + ["NoneType"]
    now = [await backends.documents.get(one.id) for one in failed]
    assert [one.status for one in now if one].count(S.PENDING) == 1
