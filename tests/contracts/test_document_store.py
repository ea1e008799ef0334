"""What every document store promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.bootstrap import Backends
from shared.document import TRANSITIONS, Document, DocumentStatus
from shared.errors import MoveRefusedError
from shared.events import DELETED
from shared.ports import ListFilter, ListPosition
from tests.support.builders import NOW, lease, move, moves, new_document

S = DocumentStatus
# The shortest way to each status, for tests that need a document there.
PATHS: dict[DocumentStatus, tuple[DocumentStatus, ...]] = {
    S.UPLOADING: (),
    S.UPLOADED: (S.UPLOADED,),
    S.PENDING: (S.UPLOADED, S.PENDING),
    S.PROCESSING: (S.UPLOADED, S.PENDING, S.PROCESSING),
    S.ANALYZING: (S.UPLOADED, S.PENDING, S.PROCESSING, S.ANALYZING),
    S.COMPLETED: (S.UPLOADED, S.PENDING, S.PROCESSING, S.ANALYZING, S.COMPLETED),
    S.FAILED: (S.UPLOADED, S.PENDING, S.PROCESSING, S.FAILED),
    S.CANCELLED: (S.UPLOADED, S.PENDING, S.CANCELLED),
    S.DELETING: (S.UPLOADED, S.DELETING),
}
LEGAL = [(start, end) for start, ends in TRANSITIONS.items() for end in sorted(ends)]


async def stored(backends: Backends, status: DocumentStatus, document: Document | None = None) -> Document:
    document = document or new_document()
    await backends.documents.insert(document)
    for change in moves(document, *PATHS[status]):
        await backends.documents.apply(change)
        document = change.after
    return document


@pytest.mark.parametrize(("start", "end"), LEGAL)
async def test_legal_move_is_stored_as_it_was_made(backends: Backends, start: S, end: S) -> None:
    change = move(await stored(backends, start), end)
    await backends.documents.apply(change)
    assert await backends.documents.get(change.after.id) == change.after


@pytest.mark.parametrize(
    ("start", "end"),
    [(start, end) for start in TRANSITIONS for end in S if end not in TRANSITIONS[start] and end is not S.UPLOADING],
)
async def test_illegal_move_is_refused_by_the_database_itself(backends: Backends, start: S, end: S) -> None:
    document = await stored(backends, start)
    # A legal change dressed up: the store must not rely on `advance` alone.
    somewhere_legal = next(status for status in TRANSITIONS if end in TRANSITIONS[status])
    template = move(replace(document, status=somewhere_legal, lease=lease()), end)
    with pytest.raises(Exception, match="document_history"):
        await backends.documents.apply(replace(template, before=document))
    assert await backends.documents.get(document.id) == document


async def test_same_id_is_inserted_once(backends: Backends) -> None:
    document = new_document()
    assert await backends.documents.insert(document)
    assert not await backends.documents.insert(replace(document, filename="other.pdf"))
    assert await backends.documents.get(document.id) == document


async def test_of_twenty_concurrent_claims_one_wins(backends: Backends) -> None:
    document = await stored(backends, S.PENDING)
    claims = [move(document, S.PROCESSING, lease=lease(f"worker-{n}")) for n in range(20)]
    outcomes = await asyncio.gather(*(backends.documents.apply(claim) for claim in claims), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome] == [MoveRefusedError] * 19
    winner = claims[outcomes.index(None)]
    assert await backends.documents.get(document.id) == winner.after


async def test_stale_fence_is_refused_after_a_lost_lease(backends: Backends) -> None:
    claimed = await stored(backends, S.PROCESSING)
    again = move(claimed, S.PROCESSING, lease=lease("worker-b"))
    await backends.documents.apply(again)
    with pytest.raises(MoveRefusedError):
        await backends.documents.apply(move(claimed, S.ANALYZING))
    assert (await backends.documents.get(claimed.id)) == again.after


async def test_stale_fence_does_not_extend_a_lease(backends: Backends) -> None:
    claimed = await stored(backends, S.PROCESSING)
    later = NOW + timedelta(minutes=5)
    assert await backends.documents.extend_lease(claimed.id, fence=claimed.fence, until=later)
    assert not await backends.documents.extend_lease(claimed.id, fence=claimed.fence - 1, until=later)
    extended = await backends.documents.get(claimed.id)
    assert extended is not None
    assert extended.lease is not None
    assert extended.lease.until == extended.due_at == later


async def test_own_write_is_recognised_when_it_is_made_again(backends: Backends) -> None:
    change = move(await stored(backends, S.PENDING), S.PROCESSING)
    await backends.documents.apply(change)
    await backends.documents.apply(change)
    assert len(await backends.documents.history(change.after.id)) == 3


async def test_refused_chain_writes_nothing(backends: Backends) -> None:
    document = await stored(backends, S.PENDING)
    first, second = moves(document, S.PROCESSING, S.ANALYZING)
    with pytest.raises(MoveRefusedError):
        await backends.documents.apply(first, replace(second, before=replace(second.before, version=99)))
    assert await backends.documents.get(document.id) == document


async def test_history_has_every_move_in_order(backends: Backends) -> None:
    document = await stored(backends, S.COMPLETED)
    history = await backends.documents.history(document.id)
    assert [entry.version for entry in history] == [1, 2, 3, 4, 5]
    assert [entry.status for entry in history] == list(PATHS[S.COMPLETED])
    assert [entry.previous for entry in history[1:]] == [entry.status for entry in history[:-1]]


async def test_a_move_and_its_event_are_one(backends: Backends) -> None:
    document = await stored(backends, S.FAILED)
    events = await backends.feed.events(document.owner, after=0, limit=10)
    assert [(event.seq, event.status) for event in events] == list(enumerate(PATHS[S.FAILED], 1))
    assert (events[-1].error_code, events[-1].error_detail) == ("corrupt", "The document is damaged.")
    head = (await backends.feed.heads([document.owner]))[document.owner]
    assert head.seq == 4


async def test_concurrent_moves_of_one_owner_leave_no_hole_in_the_feed(backends: Backends) -> None:
    owner = uuid4()
    documents = [await stored(backends, S.UPLOADED, new_document(owner=owner)) for _ in range(20)]
    await asyncio.gather(*(backends.documents.apply(move(document, S.PENDING)) for document in documents))
    events = await backends.feed.events(owner, after=0, limit=100)
    assert [event.seq for event in events] == list(range(1, 41))


async def test_owner_without_events_has_a_feed(backends: Backends) -> None:
    owner = uuid4()
    head = (await backends.feed.heads([owner]))[owner]
    assert (head.seq, head.floor) == (0, 0)
    assert (await backends.feed.heads([owner]))[owner] == head


async def test_due_documents_are_found_and_idle_ones_are_not(own_backends: Backends) -> None:
    due = {status: await stored(own_backends, status) for status in S}
    found = await own_backends.documents.due(now=NOW + timedelta(days=1), limit=100)
    waiting = {S.UPLOADING, S.PENDING, S.PROCESSING, S.ANALYZING, S.DELETING}
    assert {document.id for document in found} == {due[status].id for status in waiting}
    assert await own_backends.documents.due(now=NOW - timedelta(seconds=1), limit=100) == []


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
    await backends.documents.confirm_sent(document, due_at=NOW + timedelta(hours=1))
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


async def test_foreign_and_deleting_documents_are_not_found(backends: Backends) -> None:
    document = await stored(backends, S.COMPLETED)
    assert await backends.documents.find(document.id, owner=document.owner) == document
    assert await backends.documents.find(document.id, owner=uuid4()) is None
    await backends.documents.apply(move(document, S.DELETING))
    assert await backends.documents.find(document.id, owner=document.owner) is None
    page = await backends.documents.page(document.owner, where=ListFilter(), limit=10, after=None)
    assert page == []


async def test_pages_are_newest_first_and_meet_without_gap_or_overlap(backends: Backends) -> None:
    owner = uuid4()
    # Three share one time, so that the id has to decide.
    times = [NOW, NOW, NOW, NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)]
    documents = [new_document(owner=owner, at=at) for at in times]
    for document in documents:
        await backends.documents.insert(document)
    expected = [d.id for d in sorted(documents, key=lambda d: (d.created_at, d.id), reverse=True)]
    seen, after = [], None
    for _ in range(3):
        page = await backends.documents.page(owner, where=ListFilter(), limit=2, after=after)
        seen += [document.id for document in page]
        after = ListPosition(created_at=page[-1].created_at, id=page[-1].id)
    assert seen == expected


async def test_lists_filter_by_status_and_by_folder_with_subfolders(backends: Backends) -> None:
    owner = uuid4()
    for folder in ("a", "a/b", "ab", "a%"):
        await backends.documents.insert(new_document(owner=owner, folder=folder))
    await stored(backends, S.COMPLETED, new_document(owner=owner, folder="a"))

    async def folders(where: ListFilter) -> list[str]:
        page = await backends.documents.page(owner, where=where, limit=10, after=None)
        return sorted(document.folder for document in page)

    assert await folders(ListFilter(folder="a")) == ["a", "a", "a/b"]
    assert await folders(ListFilter(status=S.COMPLETED)) == ["a"]
    assert await folders(ListFilter(status=S.FAILED)) == []


async def test_tombstone_keeps_no_trace_but_id_owner_and_fence(backends: Backends) -> None:
    document = await stored(backends, S.COMPLETED, new_document(folder="secret-folder", filename="secret-name.pdf"))
    change = move(document, S.DELETING)
    await backends.documents.apply(change)
    await backends.documents.entomb(change.after, now=NOW)
    tomb = await backends.documents.get(document.id)
    assert tomb is not None
    assert tomb.entombed
    assert (tomb.owner, tomb.fence, tomb.report, tomb.filename) == (document.owner, change.after.fence, None, "")
    assert await backends.documents.history(document.id) == []
    events = await backends.feed.events(document.owner, after=0, limit=100)
    assert events[-1].status == DELETED
    assert "secret" not in repr(events)
    await backends.documents.discard(tomb)
    assert await backends.documents.get(document.id) is None


async def test_discard_spares_a_document_that_moved_on(backends: Backends) -> None:
    document = await stored(backends, S.UPLOADING)
    change = move(document, S.UPLOADED)
    await backends.documents.apply(change)
    await backends.documents.discard(document)
    assert await backends.documents.get(document.id) == change.after
