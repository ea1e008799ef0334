"""What every document store promises about moves, and about what is left of a deleted document."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.analysis import Label, RunOptions
from shared.bootstrap import Backends, open_backends
from shared.document import IDLE, TRANSITIONS, DocumentStatus
from shared.errors import MoveRefusedError
from shared.events import DELETED
from shared.lists import ListFilter
from shared.settings import Settings
from tests.contracts.paths import PATHS, stored
from tests.support.builders import NOW, lease, move, moves, new_document

S = DocumentStatus
# A tombstone of this time is not yet for time to live, which may take an item away at any moment.
FAR = datetime(2100, 1, 1, tzinfo=UTC)
LEGAL = [(start, end) for start, ends in TRANSITIONS.items() for end in sorted(ends)]


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
    with pytest.raises(Exception, match=r"document_history|cannot become"):
        await backends.documents.apply(replace(template, before=document))
    assert await backends.documents.get(document.id) == document


@pytest.mark.parametrize(("status", "due_at"), [(S.PENDING, None), (S.PROCESSING, None), (S.COMPLETED, NOW)])
async def test_move_that_forgets_a_document_or_wakes_an_idle_one_is_refused_by_the_store_itself(
    backends: Backends, status: S, due_at: datetime | None
) -> None:
    assert (status in IDLE) == (due_at is not None)
    change = move(await stored(backends, PATHS[status][-2]), status)
    with pytest.raises(Exception, match=r"documents_due|cannot be due"):
        await backends.documents.apply(replace(change, after=replace(change.after, due_at=due_at)))
    assert await backends.documents.get(change.before.id) == change.before


async def test_every_fact_of_a_document_comes_back(backends: Backends) -> None:
    document = new_document(filename="Übersicht 概要.pdf", folder="a/ß", size=2**40)
    analyzing = await stored(backends, S.ANALYZING, document)
    completed = move(analyzing, S.COMPLETED, pages=3, text_key=f"{document.prefix}text-1-1.txt", folder="b")
    await backends.documents.apply(completed)
    assert await backends.documents.get(document.id) == completed.after
    assert (await backends.documents.page(document.owner, where=ListFilter(), limit=1, after=None)) == [completed.after]
    labels = (Label(name="Ünique", description="So."), Label(name="other"))
    options = RunOptions(profile="short", labels=labels)
    restarted = move(completed.after, S.PENDING, pages=None, text_key=None, report=None, options=options)
    await backends.documents.apply(restarted)
    assert await backends.documents.get(document.id) == restarted.after


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


async def test_chain_of_moves_is_one_write(backends: Backends) -> None:
    document = await stored(backends, S.PENDING)
    chain = moves(document, S.PROCESSING, S.ANALYZING, S.COMPLETED)
    await backends.documents.apply(*chain)
    await backends.documents.apply(*chain)
    assert await backends.documents.get(document.id) == chain[-1].after
    history = await backends.documents.history(document.id)
    assert history[2:] == [change.entry for change in chain]
    events = await backends.feed.events(document.owner, after=2, limit=10)
    assert [(event.seq, event.version, event.status) for event in events] == [
        (3, 3, S.PROCESSING),
        (4, 4, S.ANALYZING),
        (5, 5, S.COMPLETED),
    ]


async def test_move_of_a_document_that_is_not_there_is_refused(backends: Backends) -> None:
    document = new_document()
    with pytest.raises(MoveRefusedError):
        await backends.documents.apply(move(document, S.UPLOADED))
    assert await backends.documents.get(document.id) is None
    assert await backends.documents.history(document.id) == []
    assert await backends.feed.events(document.owner, after=0, limit=10) == []


async def test_history_has_every_move_in_order(backends: Backends) -> None:
    document = await stored(backends, S.COMPLETED)
    history = await backends.documents.history(document.id)
    assert [entry.version for entry in history] == [1, 2, 3, 4, 5]
    assert [entry.status for entry in history] == list(PATHS[S.COMPLETED])
    assert [entry.previous for entry in history[1:]] == [entry.status for entry in history[:-1]]


async def test_tombstone_keeps_no_trace_but_id_owner_and_fence(backends: Backends) -> None:
    document = await stored(backends, S.COMPLETED, new_document(folder="secret-folder", filename="secret-name.pdf"))
    again = move(document, S.PENDING)
    change = move(again.after, S.DELETING)
    await backends.documents.apply(again, change)
    await backends.documents.entomb(change.after, now=FAR)
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


async def test_only_a_deleting_document_is_entombed_and_twice_is_harmless(backends: Backends) -> None:
    document = await stored(backends, S.COMPLETED)
    await backends.documents.entomb(replace(document, status=S.DELETING), now=FAR)
    assert await backends.documents.get(document.id) == document
    assert len(await backends.documents.history(document.id)) == document.version
    change = move(document, S.DELETING)
    await backends.documents.apply(change)
    await backends.documents.entomb(change.after, now=FAR)
    tomb = await backends.documents.get(document.id)
    await backends.documents.entomb(change.after, now=FAR)
    assert await backends.documents.get(document.id) == tomb


async def test_nothing_brings_a_tombstone_back(backends: Backends) -> None:
    claimed = await stored(backends, S.PROCESSING)
    deleting = move(claimed, S.DELETING)
    await backends.documents.apply(deleting)
    await backends.documents.entomb(deleting.after, now=FAR)
    with pytest.raises(MoveRefusedError):
        await backends.documents.apply(move(claimed, S.ANALYZING))
    assert not await backends.documents.extend_lease(claimed.id, fence=claimed.fence, until=FAR)
    assert not await backends.documents.insert(claimed)
    tomb = await backends.documents.get(claimed.id)
    assert tomb is not None
    assert tomb.entombed


async def test_discard_spares_a_document_that_moved_on(backends: Backends) -> None:
    document = await stored(backends, S.UPLOADING)
    change = move(document, S.UPLOADED)
    await backends.documents.apply(change)
    await backends.documents.discard(document)
    assert await backends.documents.get(document.id) == change.after


async def test_times_of_postgresql_are_utc_whatever_its_zone(
    stack_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Europe/Berlin")
    async with open_backends(stack_settings) as backends:
        document = await stored(backends, S.UPLOADED)
        found = await backends.documents.get(document.id)
        assert found is not None
        assert found.created_at.isoformat() == document.created_at.isoformat()
