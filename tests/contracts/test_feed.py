"""What every feed promises about the moves that a document store has written."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from uuid import uuid4

from shared.bootstrap import Backends, open_backends
from shared.document import DocumentStatus
from shared.settings import Settings
from tests.contracts.paths import PATHS, stored
from tests.support.builders import move, new_document

S = DocumentStatus


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


async def test_processes_that_move_documents_of_one_owner_leave_no_hole_in_the_feed(own_settings: Settings) -> None:
    owner = uuid4()
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(open_backends(own_settings)) for _ in range(4)]
        uploads = [await stored(processes[0], S.UPLOADED, new_document(owner=owner)) for _ in range(12)]
        changes = [move(document, S.PENDING) for document in uploads]
        await asyncio.gather(*(processes[n % 4].documents.apply(change) for n, change in enumerate(changes)))
        events = await processes[0].feed.events(owner, after=12, limit=100)
    assert [event.seq for event in events] == list(range(13, 25))
    assert {event.document_id for event in events} == {change.after.id for change in changes}


async def test_owner_without_events_has_a_feed(backends: Backends) -> None:
    owner = uuid4()
    head = (await backends.feed.heads([owner]))[owner]
    assert (head.seq, head.floor) == (0, 0)
    assert (await backends.feed.heads([owner]))[owner] == head


async def test_feed_keeps_its_epoch_when_the_first_event_comes(backends: Backends) -> None:
    document = new_document()
    empty = (await backends.feed.heads([document.owner]))[document.owner]
    await stored(backends, S.UPLOADED, document)
    assert (await backends.feed.heads([document.owner]))[document.owner] == replace(empty, seq=1)


async def test_heads_of_more_owners_than_one_read_holds(backends: Backends) -> None:
    busy = await stored(backends, S.UPLOADED)
    owners = [busy.owner, *(uuid4() for _ in range(119)), busy.owner]
    heads = await backends.feed.heads(owners)
    assert set(heads) == set(owners)
    assert [heads[owner].seq for owner in owners] == [1, *[0] * 119, 1]
    assert len({head.epoch for head in heads.values()}) > 100


async def test_events_are_read_in_pieces(backends: Backends) -> None:
    document = await stored(backends, S.COMPLETED)
    pieces = [await backends.feed.events(document.owner, after=after, limit=2) for after in (0, 2, 4, 5)]
    assert [[event.seq for event in piece] for piece in pieces] == [[1, 2], [3, 4], [5], []]


async def test_feeds_that_begin_anew_have_another_epoch_each_time_and_keep_their_events(backends: Backends) -> None:
    document = await stored(backends, S.COMPLETED)
    owners = [document.owner, uuid4()]
    seen = [await backends.feed.heads(owners)]
    for _ in range(2):
        assert await backends.retention.begin_anew() == len(set(await backends.feed.owners()))
        seen.append(await backends.feed.heads(owners))
    for owner in owners:
        assert len({heads[owner].epoch for heads in seen}) == 3
        assert {(heads[owner].seq, heads[owner].floor) for heads in seen} == {(seen[0][owner].seq, 0)}
    await backends.documents.apply(move(document, S.PENDING))
    events = await backends.feed.events(document.owner, after=4, limit=10)
    assert [event.seq for event in events] == [5, 6]
