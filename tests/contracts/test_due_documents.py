"""What every document store promises about what is due, sent or leased."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.bootstrap import Backends
from shared.document import DocumentStatus
from tests.contracts.paths import stored
from tests.support.builders import NOW, move, moves, new_document, unreadable_report

S = DocumentStatus


async def test_stale_fence_does_not_extend_a_lease(backends: Backends) -> None:
    claimed = await stored(backends, S.PROCESSING)
    later = NOW + timedelta(minutes=5)
    assert await backends.documents.extend_lease(claimed.id, fence=claimed.fence, until=later)
    assert not await backends.documents.extend_lease(claimed.id, fence=claimed.fence - 1, until=later)
    extended = await backends.documents.get(claimed.id)
    assert extended is not None
    assert extended.lease is not None
    assert extended.lease.until == extended.due_at == later


async def test_due_documents_are_found_and_idle_ones_are_not(own_backends: Backends) -> None:
    due = {status: await stored(own_backends, status) for status in S}
    found = await own_backends.documents.due(now=NOW + timedelta(days=1), limit=100)
    waiting = {S.UPLOADING, S.PENDING, S.PROCESSING, S.ANALYZING, S.DELETING}
    assert {document.id for document in found} == {due[status].id for status in waiting}
    assert await own_backends.documents.due(now=NOW - timedelta(seconds=1), limit=100) == []


async def test_longest_due_come_first(own_backends: Backends) -> None:
    times = [NOW + timedelta(minutes=minutes) for minutes in (3, 1, 5, 2, 4)]
    for at in times:
        await own_backends.documents.insert(new_document(due_at=at))
    found = await own_backends.documents.due(now=NOW + timedelta(minutes=4), limit=3)
    assert [document.due_at for document in found] == sorted(times)[:3]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
async def test_document_of_a_version_that_knows_more_is_passed_over_for_a_while(own_backends: Backends) -> None:
    unread = new_document(due_at=NOW, report=unreadable_report())
    known = new_document(due_at=NOW + timedelta(seconds=1))
    for document in (unread, known):
        await own_backends.documents.insert(document)
    at = NOW + timedelta(minutes=1)
    assert [one.id for one in await own_backends.documents.due(now=at, limit=1)] == []
    assert [one.id for one in await own_backends.documents.due(now=at, limit=1)] == [known.id]
    with pytest.raises(ValueError, match="of-later"):
        await own_backends.documents.get(unread.id)


async def test_of_twenty_sweepers_one_counts_the_send(backends: Backends) -> None:
    document = await stored(backends, S.PENDING)
    counts = [backends.documents.count_send(document, due_at=NOW + timedelta(minutes=1)) for _ in range(20)]
    counted = [after for after in await asyncio.gather(*counts) if after is not None]
    assert counted == [await backends.documents.get(document.id)]


async def test_new_run_begins_with_its_first_send(backends: Backends) -> None:
    pending = await stored(backends, S.PENDING)
    await backends.documents.count_send(pending, due_at=NOW)
    await backends.documents.apply(*moves(pending, S.CANCELLED, S.PENDING))
    restarted = await backends.documents.get(pending.id)
    assert restarted is not None
    assert (restarted.run, restarted.send) == (2, 1)


async def test_confirmed_send_puts_the_next_look_off(own_backends: Backends) -> None:
    document = await stored(own_backends, S.PENDING)
    due_at = NOW + timedelta(hours=1)
    await own_backends.documents.postpone(document, due_at=due_at)
    assert await own_backends.documents.get(document.id) == replace(document, due_at=due_at)
    assert await own_backends.documents.due(now=due_at - timedelta(seconds=1), limit=10) == []
    assert [one.id for one in await own_backends.documents.due(now=due_at, limit=10)] == [document.id]


async def test_confirmed_send_does_not_undo_a_later_one(backends: Backends) -> None:
    document = await stored(backends, S.PENDING)
    counted = await backends.documents.count_send(document, due_at=NOW)
    await backends.documents.postpone(document, due_at=NOW + timedelta(hours=1))
    assert await backends.documents.get(document.id) == counted


@pytest.mark.parametrize("status", [S.PENDING, S.COMPLETED, S.DELETING])
async def test_lease_of_a_document_that_nobody_holds_is_not_extended(backends: Backends, status: S) -> None:
    document = await stored(backends, status)
    assert not await backends.documents.extend_lease(document.id, fence=document.fence, until=NOW)
    assert await backends.documents.get(document.id) == document


async def test_a_send_is_counted_once(backends: Backends) -> None:
    document = await stored(backends, S.PENDING)
    due_at = NOW + timedelta(minutes=1)
    counted = await backends.documents.count_send(document, due_at=due_at)
    assert counted is not None
    assert (counted.send, counted.due_at, counted.version) == (document.send + 1, due_at, document.version)
    assert await backends.documents.count_send(document, due_at=due_at) is None


async def test_a_claim_keeps_a_send_that_was_counted_meanwhile(backends: Backends) -> None:
    document = await stored(backends, S.PENDING)
    await backends.documents.count_send(document, due_at=NOW)
    await backends.documents.apply(move(document, S.PROCESSING))
    claimed = await backends.documents.get(document.id)
    assert claimed is not None
    assert claimed.send == document.send + 1


async def test_confirmed_send_does_not_touch_a_document_that_moved_on(backends: Backends) -> None:
    document = await stored(backends, S.PENDING)
    change = move(document, S.PROCESSING)
    await backends.documents.apply(change)
    await backends.documents.postpone(document, due_at=NOW + timedelta(hours=1))
    assert await backends.documents.get(document.id) == change.after


async def test_leases_of_a_dead_worker_are_due_now(own_backends: Backends) -> None:
    mine = await stored(own_backends, S.PROCESSING)
    assert await own_backends.documents.expire_leases("worker-a", now=NOW) == 1
    assert await own_backends.documents.expire_leases("worker-b", now=NOW) == 0
    found = await own_backends.documents.due(now=NOW, limit=10)
    assert [document.id for document in found] == [mine.id]
    assert not found[0].lease_is_live(NOW)


async def test_lost_queue_makes_every_document_that_waits_for_a_message_due(own_backends: Backends) -> None:
    pending, orphaned, held = [await stored(own_backends, status) for status in (S.PENDING, S.ANALYZING, S.PROCESSING)]
    await stored(own_backends, S.COMPLETED)
    # The orphan's worker is dead, and its message was already sent again.
    await own_backends.documents.expire_leases("worker-a", now=NOW)
    assert await own_backends.documents.extend_lease(held.id, fence=held.fence, until=NOW + timedelta(minutes=1))
    assert await own_backends.documents.hasten(now=NOW) == 2
    due = await own_backends.documents.due(now=NOW, limit=10)
    assert {document.id for document in due} == {pending.id, orphaned.id}
